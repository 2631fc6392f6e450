"""The emulator's time: the real one, plus what somebody advanced it by."""

from __future__ import annotations

import asyncio
import time


class AdjustableClock:
    """Seconds since the epoch that never run backwards and can be moved forwards."""

    def __init__(self) -> None:
        self._start = time.time() - time.monotonic()
        self._moved = asyncio.Event()

    def __call__(self) -> float:
        return self._start + time.monotonic()

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds`` >= 0 and wake everybody in :meth:`wait_until`; only in the event loop."""
        if not seconds >= 0:
            raise ValueError("time can only be advanced by seconds >= 0")
        self._start += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def wait_until(self, moment: float) -> None:
        """Return when the clock shows ``moment``."""
        while (left := moment - self()) > 0:
            moved = self._moved
            try:
                async with asyncio.timeout(left):
                    await moved.wait()
            except TimeoutError:
                # The event loop's clock is coarser than this one: the condition above decides.
                continue
