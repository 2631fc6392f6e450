"""Time that passes only when somebody waits: for blocking code, and for coroutines beside it."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

from tests.virtual.processes import acting

START = 1_800_000_000.0


class VirtualClock:
    """Stands in for both modules that :mod:`airflow_ltx.segmind.clock` looks up.

    Coroutines run on the loop that it is given, whenever time passes; a blocking sleep lets it pass.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = self.started_at = START
        self._loop = loop
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()
        self._awake = 0
        self._all_asleep = asyncio.Event()

    def __call__(self) -> float:
        return self.now

    @property
    def blocking(self) -> _Blocking:
        """As the module ``time``."""
        return _Blocking(self)

    @property
    def cooperative(self) -> _Cooperative:
        """As the module ``asyncio``."""
        return _Cooperative(self)

    def at(self, moment: float, action: Callable[[], object]) -> None:
        """Call ``action`` when that moment has come."""
        heapq.heappush(self._agenda, (moment, next(self._order), action))

    def pass_until(self, moment: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, and everything happen that is due; stop early once it is ``enough``."""
        while self._agenda and self._agenda[0][0] <= moment and not enough():
            due, _, action = heapq.heappop(self._agenda)
            self.now = max(self.now, due)
            action()
            self._settle()
        if not enough():
            self.now = max(self.now, moment)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine until it sleeps; it goes on as time passes."""
        self._awake += 1
        task = self._loop.create_task(self._counted(coroutine))
        self._settle()
        return task

    def cancel(self, tasks: list[asyncio.Task[None]]) -> None:
        """End coroutines wherever they sleep; raises what went wrong in one of them."""
        for task in tasks:
            task.cancel()
        for ended in self._loop.run_until_complete(_all(tasks)):
            if isinstance(ended, Exception):
                raise ended

    async def sleep(self, seconds: float) -> None:
        """Of coroutines."""
        woken = self._loop.create_future()

        def wake() -> None:
            if not woken.done():
                self._awake += 1
                woken.set_result(None)

        self.at(self.now + max(0.0, seconds), wake)
        self._awake -= 1
        self._all_asleep.set()
        try:
            await woken
        except asyncio.CancelledError:
            self._awake += 1
            raise

    async def until(self, future: asyncio.Future[Any]) -> None:
        """Of coroutines that wait for one another."""
        if future.done():
            return
        done = self._loop.create_future()

        def wake(finished: object) -> None:
            if not done.done():
                self._awake += 1
                done.set_result(None)

        future.add_done_callback(wake)
        self._awake -= 1
        self._all_asleep.set()
        try:
            await done
        except asyncio.CancelledError:
            self._awake += 1
            raise

    async def _counted(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            await coroutine
        finally:
            self._awake -= 1
            self._all_asleep.set()

    def _settle(self) -> None:
        while self._awake:
            self._all_asleep.clear()
            self._loop.run_until_complete(self._all_asleep.wait())


async def _all(tasks: list[asyncio.Task[None]]) -> list[BaseException | None]:
    return await asyncio.gather(*tasks, return_exceptions=True)


class _Blocking:
    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def time(self) -> float:
        return self._clock.now

    def sleep(self, seconds: float) -> None:
        acting().step("sleep")
        self._clock.pass_until(self._clock.now + seconds)


class _Cooperative:
    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    async def sleep(self, seconds: float) -> None:
        acting().step("sleep")
        await self._clock.sleep(seconds)

    async def wait(self, futures: list[asyncio.Future[Any]]) -> None:
        (future,) = futures
        await self._clock.until(future)
