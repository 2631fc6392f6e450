"""One case in a process of its own: many waits in one event loop, and what they take.

Reads the case as JSON from its argument and writes what it measured as its last line.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import psutil
from stub import BEGIN, COUNTS, FORGET, GAPS
from waiters import WAITS, Setting

_TICK = 0.01
_LOOK = 0.25


@dataclass(frozen=True)
class Case:
    """What is measured.

    :param seconds: For which CPU is counted.
    :param lag_seconds: For which the loop is watched.
    :param patience: Seconds in which all have to have polled once; what is measured after it is of as many
        as had.
    """

    client: str
    count: int
    port: int
    interval: float
    seconds: float
    lag_seconds: float
    patience: float

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class Lag:
    """By how much a loop is late for a callback every hundredth of a second."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._seen: list[float] = []
        self._due = 0.0

    def start(self) -> None:
        self._seen = []
        self._plan()

    def stop(self) -> dict[str, float]:
        """Milliseconds: the worst, the 99th percentile, and the sum of those above a tick."""
        assert self._handle is not None  # noqa: S101
        self._handle.cancel()
        # What is under way when it ends.
        seen = [*self._seen, max(0.0, self._loop.time() - self._due)]
        return {
            "max": 1000 * max(seen),
            "p99": 1000 * sorted(seen)[int(0.99 * (len(seen) - 1))],
            "sum": 1000 * sum(lag for lag in seen if lag > _TICK),
        }

    def _plan(self) -> None:
        self._due = self._loop.time() + _TICK
        self._handle = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        self._seen.append(self._loop.time() - self._due)
        self._plan()


class Control:
    """What the stub has seen. Its connection is not counted."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Control:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**24))

    async def call(self, path: str) -> Any:
        self._writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return json.loads(await self._reader.readexactly(length))


def memory() -> int:
    """Bytes of this process alone, but for what is free and only not given back yet."""
    gc.collect()
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    return int(psutil.Process().memory_full_info().uss)


async def measure(case: Case) -> dict[str, Any]:
    """Begin all waits at once, as a triggerer that starts again does; then count in the steady state."""
    setting = Setting(case.port, case.interval)
    wait = WAITS[case.client](setting)
    polls = case.client != "bare trigger"
    control, lag = await Control.connect(case.port), Lag()
    await _warm_up(wait, control, polls)
    before = memory()

    lag.start()
    begun = time.perf_counter()
    tasks = []
    for number in range(case.count):
        tasks.append(asyncio.ensure_future(wait(number)))
        # A triggerer lets others run between two.
        await asyncio.sleep(0)
    polled = await _all_polled(case, control, begun) if polls else case.count
    started = {"seconds": time.perf_counter() - begun, "polled": polled, **lag.stop()}
    _none_ended(tasks)
    if not polls:
        await asyncio.sleep(0.5)
        return {"memory": (memory() - before) / case.count, "start": started}

    await asyncio.sleep(min(case.interval, 2.0))
    # Whether a collection of everything falls into the next seconds is chance where few calls are made.
    gc.collect()
    await control.call(BEGIN)
    used = time.process_time()
    await asyncio.sleep(case.seconds)
    used = time.process_time() - used
    counted = await control.call(COUNTS)
    per_trigger = (memory() - before) / case.count

    lag.start()
    await asyncio.sleep(case.lag_seconds)
    steady = lag.stop()
    connections = (await control.call(COUNTS))["open"]
    late = [gap - case.interval for gap in await control.call(GAPS)]
    _none_ended(tasks)
    return {
        "start": started,
        "cpu": 1000 * used / max(1, counted["requests"]),
        "calls": counted["requests"],
        "wanted": case.count * case.seconds / case.interval,
        "memory": per_trigger,
        "lag": steady,
        "connections": connections,
        "opened": counted["opened"] / max(1, counted["requests"]),
        "late": sum(each > 1 for each in late),
        "latest": max(late, default=0.0),
        "gaps": len(late),
    }


async def _warm_up(wait: Callable[[int], Any], control: Control, polls: bool) -> None:
    """What is made once in a process is nobody's in particular."""
    await control.call(FORGET)
    task = asyncio.ensure_future(wait(2**64))
    while polls and not (await control.call(COUNTS))["requests"]:
        await asyncio.sleep(0.05)
        _none_ended([task])
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.wait([task])
    await control.call(FORGET)


async def _all_polled(case: Case, control: Control, begun: float) -> int:
    while True:
        await asyncio.sleep(_LOOK)
        polled = int((await control.call(COUNTS))["polled"])
        if polled >= case.count or time.perf_counter() - begun > case.patience:
            return polled


def _none_ended(tasks: list[asyncio.Future[Any]]) -> None:
    for task in tasks:
        if task.done():
            raise SystemExit(f"A wait ended: {task.exception()!r}")


async def _main(case: Case) -> None:
    print(json.dumps(await measure(case)), flush=True)
    # Thousands of waits and their threads need not be ended one by one.
    os._exit(0)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    asyncio.run(_main(Case(**json.loads(sys.argv[1]))))
