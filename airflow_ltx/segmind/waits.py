"""How long the service asks a client to wait, read from the headers of a 429."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_ltx.segmind import clock
from airflow_ltx.segmind.moments import moment_or_none
from airflow_ltx.segmind.numbers import number_or_none

LONGEST_WAIT = 3600.0
"""Seconds. What asks for more is taken for a broken clock, not for a wish."""


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Seconds to wait, from ``retry-after`` or ``x-rate-limit-reset-at-utc``; None if neither is sensible.

    The format of the latter is not documented: ISO 8601, epoch seconds, epoch milliseconds and HTTP dates are
    understood. Never negative, never above :data:`LONGEST_WAIT`.
    """
    at = clock.now() if now is None else now
    seconds = _seconds(headers.get("retry-after"), at)
    if seconds is None:
        moment = moment_or_none(headers.get("x-rate-limit-reset-at-utc"))
        seconds = None if moment is None else moment - at
    if seconds is None or seconds > LONGEST_WAIT or seconds < -LONGEST_WAIT:
        return None
    return max(0.0, seconds)


def _seconds(text: str | None, now: float) -> float | None:
    if not text:
        return None
    number = number_or_none(text)
    if number is not None:
        return number
    moment = moment_or_none(text)
    return None if moment is None else moment - now
