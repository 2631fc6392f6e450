"""Worlds for tests: three mapped tasks with the same arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.operators.segmind import SegmindSubmitOperator
from tests.virtual.orders import Order, Terms
from tests.virtual.stage import Stage, forget_accounts, quick_disk
from tests.virtual.world import World

TIMEOUT = 120.0
LTX, ANY_MODEL = "ltx-video", "wan2.1-t2v"
"""A model that takes a seed, and one of which nothing is known: no seed is drawn for it."""
ORDERS = (Order(0), Order(1), Order(2))


def play(
    stage: Stage,
    *,
    model: str = LTX,
    orders: tuple[Order, ...] | list[Order] = ORDERS,
    landing: str = "folder",
    remembers: bool = True,
    deferrable: bool = True,
    retries: int = 2,
    seed: int = 0,
    on_orphaned_intent: str = "fail",
    on_clear: str = "reuse",
    on_stale_state: str = "resubmit",
) -> World:
    """Put a world on stage.

    :param landing: ``folder`` or ``file``; ``none``: only the URL is wanted; ``no wait``: only the id.
    """
    lands = landing in ("folder", "file")
    policies = {
        "on_orphaned_intent": on_orphaned_intent,
        "on_clear": on_clear,
        "on_stale_state": on_stale_state,
    }

    def make(parameters: dict[str, Any], folder: Path, index: int) -> SegmindSubmitOperator:
        arguments: dict[str, Any] = {
            "task_id": "video",
            "deferrable": deferrable,
            "timeout": TIMEOUT,
            "retries": retries,
            "wait_for_completion": landing != "no wait",
            **policies,
        }
        if lands:
            arguments["destination"] = f"file://{folder}/{f'{index}.mp4' if landing == 'file' else ''}"
        if model == LTX:
            return LTXSubmitOperator(**parameters, **arguments)
        return SegmindSubmitOperator(model=model, parameters=parameters, **arguments)

    terms = Terms(memory=lands or remembers, drawn_seeds=model == LTX, timeout=TIMEOUT, **policies)
    forget_accounts()
    stage.world = World(
        stage.loop,
        make,
        list(orders),
        terms,
        remembers=remembers,
        retries=retries,
        seed=seed,
        disk=quick_disk(),
        policies=policies,
    )
    return stage.world
