"""The two loops around :mod:`airflow_ltx.durability.recovery`: they read and sleep, and decide nothing."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from airflow_ltx.durability.recovery import Lookup, Pause, Verdict
from airflow_ltx.exceptions import SegmindError
from airflow_ltx.segmind.clock import apause, now, pause
from airflow_ltx.segmind.history import HistoryFilters
from airflow_ltx.segmind.models import HistoryPage
from airflow_ltx.segmind.narrate import Logger

Watcher = Callable[[Pause], None]


def look_up(lookup: Lookup, read: Callable[[HistoryFilters], HistoryPage], on_pause: Watcher) -> Verdict:
    """Look until the request is found or the lookup's deadline has passed."""
    while True:
        step = lookup.step(now(), _draw())
        if isinstance(step, Verdict):
            return step
        if isinstance(step, Pause):
            on_pause(step)
            pause(step.seconds)
            continue
        try:
            page = read(step.filters)
        except SegmindError as error:
            lookup.failed(error, now(), _draw())
        else:
            lookup.read(page)


async def alook_up(
    lookup: Lookup, read: Callable[[HistoryFilters], Awaitable[HistoryPage]], on_pause: Watcher
) -> Verdict:
    """As :func:`look_up`, without blocking the loop."""
    while True:
        step = lookup.step(now(), _draw())
        if isinstance(step, Verdict):
            return step
        if isinstance(step, Pause):
            on_pause(step)
            await apause(step.seconds)
            continue
        try:
            page = await read(step.filters)
        except SegmindError as error:
            lookup.failed(error, now(), _draw())
        else:
            lookup.read(page)


class Telling:
    """Logs why there is no match yet: when the reason changes, and now and then."""

    _EVERY = 20

    def __init__(self, log: Logger, what: str) -> None:
        self._log = log
        self._what = what
        self._reason: str | None = None
        self._times = 0

    def __call__(self, step: Pause) -> None:
        """See ``Watcher``."""
        if step.reason != self._reason or self._times % self._EVERY == 0:
            self._log.info(
                "Not found yet: %s (%s). Looking again in %.0f s.", self._what, step.reason, step.seconds
            )
        self._reason, self._times = step.reason, self._times + 1


def _draw() -> float:
    return random.random()  # noqa: S311
