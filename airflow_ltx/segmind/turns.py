"""Whose call is next: the users of one key in one event loop share its budget by what a call is worth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from math import inf
from typing import Protocol

from airflow_ltx.segmind.account import used_up
from airflow_ltx.segmind.clock import apause, now, until

Worth = Callable[[float], float]

_RANKED_FOR = 1.0
"""Seconds for which a ranking of those who wait is good; thousands of them are not ranked for each call."""

_GLANCE = 5.0
"""Seconds after which it is looked, within a long pause, whether it has become too late for somebody."""


def needed(at: float) -> float:
    """The worth of a call that somebody waits for."""
    return 1.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What a call wants of the queue.

    :param worth: What it is worth at an epoch second; 1 is a call whose answer is known to be needed, less
        the likelihood that it tells something new. Where calls have to wait, the best goes first.
    :param latest: Epoch second after which there is no more point in it.
    """

    worth: Worth = needed
    latest: float = inf


NEEDED = Turn()


@dataclass(slots=True, eq=False)
class _Waiter:
    """One call in the queue, until it is ``begun`` or it is ``late`` for it."""

    turn: Turn
    woken: asyncio.Future[bool]
    begun: bool = False
    late: bool = False


class Budget(Protocol):
    """What is shared out; times are epoch seconds, ``allowed`` is calls a minute."""

    @property
    def allowed(self) -> float | None: ...
    @property
    def at_once(self) -> int: ...
    def opens_at(self, now: float) -> float: ...
    def take(self, now: float) -> None: ...


class Turns:
    """A queue in front of a budget, and in front of the connections that it is spent through.

    One of those who wait, no matter which, keeps the time for all; there is no task that could outlive them.

    :param at_once: The most calls that are under way at a time.
    """

    def __init__(
        self,
        pace: Budget,
        *,
        at_once: int,
        clock: Callable[[], float] = now,
        sleep: Callable[[float], Awaitable[None]] = apause,
    ) -> None:
        self.waits = 0
        self._pace = pace
        self._at_once = at_once
        self._clock = clock
        self._sleep = sleep
        self._waiting: dict[_Waiter, None] = {}
        self._ranking: list[_Waiter] = []
        self._ranked_at = 0.0
        self._leader: _Waiter | None = None
        self._under_way = 0
        self._room: asyncio.Future[bool] | None = None

    @property
    def share(self) -> float:
        """Seconds between looks that the budget has for each wait; 0 without a limit."""
        allowed = self._pace.allowed
        return 0.0 if allowed is None else 60.0 * self.waits / allowed

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While somebody waits for a request, and looks at it now and then."""
        self.waits += 1
        try:
            yield
        finally:
            self.waits -= 1

    @asynccontextmanager
    async def have(self, turn: Turn = NEEDED) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the block ends.

        :raises RateLimited: It would come too late, and nothing was sent.
        """
        await self._take(turn)
        try:
            yield
        finally:
            self._end()

    async def _take(self, turn: Turn) -> None:
        at = self._clock()
        if not self._waiting and self._has_room() and self._pace.opens_at(at) <= at:
            self._begin()
            return
        me = _Waiter(turn, asyncio.get_running_loop().create_future())
        me.late = turn.latest < self._pace.opens_at(at)
        self._waiting[me] = None
        try:
            while not me.begun and not me.late:
                if self._leader is None:
                    self._leader = me
                if self._leader is me:
                    await self._lead()
                else:
                    await until(me.woken)
                    me.woken = asyncio.get_running_loop().create_future()
        except BaseException:
            if me.begun:
                # Called and ended in the same moment.
                self._end()
            raise
        finally:
            self._waiting.pop(me, None)
            if self._leader is me:
                self._hand_over()
        if me.late:
            opens = self._pace.opens_at(self._clock())
            raise used_up(opens - self._clock())

    async def _lead(self) -> None:
        """One step towards the next call: wait for room or for the budget, or let the best one go."""
        if not self._has_room():
            self._room = asyncio.get_running_loop().create_future()
            await until(self._room)
            return
        at = self._clock()
        wait = self._pace.opens_at(at) - at
        if wait > 0:
            await self._sleep(min(wait, _GLANCE))
            self._give_up_late(self._clock())
            return
        best = self._best(at)
        del self._waiting[best]
        best.begun = True
        self._begin()
        _wake(best.woken)

    def _best(self, at: float) -> _Waiter:
        while self._ranking and self._ranking[-1] not in self._waiting:
            self._ranking.pop()
        if not self._ranking or at - self._ranked_at >= _RANKED_FOR:
            worth = {waiter: waiter.turn.worth(at) for waiter in self._waiting}
            # The best one is the list's last, and among equals the one that has waited longest.
            self._ranking = sorted(self._waiting, key=worth.__getitem__, reverse=True)[::-1]
            self._ranked_at = at
        return self._ranking.pop()

    def _give_up_late(self, at: float) -> None:
        opens = self._pace.opens_at(at)
        for waiter in [waiter for waiter in self._waiting if waiter.turn.latest < opens]:
            del self._waiting[waiter]
            waiter.late = True
            _wake(waiter.woken)

    def _has_room(self) -> bool:
        return self._under_way < min(self._at_once, self._pace.at_once)

    def _begin(self) -> None:
        self._pace.take(self._clock())
        self._under_way += 1

    def _end(self) -> None:
        self._under_way -= 1
        _wake(self._room)

    def _hand_over(self) -> None:
        self._leader = next(iter(self._waiting), None)
        if self._leader is not None:
            _wake(self._leader.woken)


def _wake(future: asyncio.Future[bool] | None) -> None:
    if future is not None and not future.done():
        future.set_result(True)
