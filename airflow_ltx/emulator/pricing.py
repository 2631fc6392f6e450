"""Prices, counted in millionths of a credit so that a ledger adds up exactly."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_ltx.emulator.catalogue import Model

MICROS = 1_000_000


def price_micros(
    model: Model, inference_seconds: float, per_second: float, prices: Mapping[str, float]
) -> int:
    """Return what a completed request costs: a set price, the model's own, or its seconds of inference."""
    price = prices.get(model.slug, model.fixed_price)
    return to_micros(inference_seconds * per_second if price is None else price)


def to_micros(credits: float) -> int:  # noqa: A002 - the unit's name
    """Return millionths of a credit, rounded to the nearest."""
    return round(credits * MICROS)


def to_credits(micros: int) -> float:
    """Return credits with at most six decimals."""
    return micros / MICROS
