"""The package's one clock. Decisions take the time as an argument; who starts them takes it from here.

``time`` and ``asyncio`` are looked up at each call, so that whoever puts others in
their place moves all of the package.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any


def now() -> float:
    """Epoch seconds."""
    return time.time()


def pause(seconds: float) -> None:
    """Block for ``seconds``."""
    time.sleep(seconds)


async def apause(seconds: float) -> None:
    """As :func:`pause`, without blocking the event loop."""
    await asyncio.sleep(seconds)


async def until(future: asyncio.Future[Any]) -> None:
    """Wait for another coroutine to finish ``future``; it is not cancelled along with its waiter."""
    await asyncio.wait([future])
