"""The least that an operator can do which defers. Copied to where every process of Airflow finds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.triggers.base import BaseTrigger, TriggerEvent


class Sleep(BaseTrigger):
    """Fires after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{Sleep.__module__}.{Sleep.__qualname__}", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(self.seconds)
        yield TriggerEvent(True)


class Bare(BaseOperator):
    """Defers and finishes.

    :param number: Of the mapped task; nothing comes of it.
    """

    def __init__(self, *, seconds: float, number: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seconds = seconds
        self.number = number

    def execute(self, context: Context) -> None:
        self.defer(trigger=Sleep(self.seconds), method_name="execute_complete")

    def execute_complete(self, context: Context, event: Any = None) -> int:
        return self.number
