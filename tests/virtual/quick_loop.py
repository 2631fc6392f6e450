"""An event loop whose time passes only while all of its coroutines sleep."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = 1_800_000_000.0


class QuickLoop(asyncio.SelectorEventLoop):
    """Sleeps take no time. Nothing here may wait for a thread or a socket, which would."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self._now

    def epoch(self) -> float:
        """The loop's time, as epoch seconds."""
        return EPOCH + self._now

    def pass_by(self, seconds: float) -> None:
        """Nobody is awake for so long."""
        self._now += seconds


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: QuickLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout > 0:
            self._loop.pass_by(timeout)
        return super().select(0)


def run_quickly(main: Coroutine[Any, Any, T]) -> T:
    """As ``asyncio.run``, in no time."""
    with asyncio.Runner(loop_factory=QuickLoop) as runner:
        return runner.run(main)


def epoch() -> float:
    """The present of the running quick loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, QuickLoop)
    return loop.epoch()
