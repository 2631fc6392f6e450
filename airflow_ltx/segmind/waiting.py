"""The two loops around :mod:`airflow_ltx.segmind.polling`: they look and sleep, and decide nothing."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from airflow_ltx.exceptions import SegmindError
from airflow_ltx.segmind.clock import apause, now, pause
from airflow_ltx.segmind.models import RequestStatus
from airflow_ltx.segmind.polling import End, Pacing, PollState, Wait, after_error, after_status

Seen = RequestStatus | SegmindError
Watcher = Callable[[Seen, Wait | End], None]


def _ignore(seen: Seen, step: Wait | End) -> None:
    return None


def _alone() -> Pacing:
    return Pacing()


def _draw() -> float:
    return random.random()  # noqa: S311


def _step(state: PollState, seen: Seen, now: float, draw: float) -> Wait | End:
    if isinstance(seen, SegmindError):
        return after_error(state, seen, now=now, draw=draw)
    return after_status(state, seen, now=now, draw=draw)


def wait_for_end(
    look: Callable[[], RequestStatus],
    state: PollState,
    *,
    pacing: Callable[[], Pacing] = _alone,
    on_seen: Watcher = _ignore,
    clock: Callable[[], float] = now,
    sleep: Callable[[float], None] = pause,
    draw: Callable[[], float] = _draw,
) -> End:
    """Look at a request until it ends or ``state.deadline`` has passed.

    :param look: One look without retries of its own.
    :param pacing: What is known of other requests by now.
    :param on_seen: Called after each look with what was seen and what follows, for the log.
    """
    state = replace(state, pacing=pacing())
    sleep(state.first_wait(clock(), draw()))
    while True:
        seen: Seen
        try:
            seen = look()
        except SegmindError as error:
            seen = error
        state = replace(state, pacing=pacing())
        step = _step(state, seen, clock(), draw())
        on_seen(seen, step)
        if isinstance(step, End):
            return step
        state = step.state
        sleep(step.seconds)


async def async_wait_for_end(
    look: Callable[[PollState], Awaitable[RequestStatus]],
    state: PollState,
    *,
    pacing: Callable[[], Pacing] = _alone,
    on_seen: Watcher = _ignore,
    clock: Callable[[], float] = now,
    sleep: Callable[[float], Awaitable[None]] = apause,
    draw: Callable[[], float] = _draw,
) -> End:
    """As :func:`wait_for_end`, without blocking the loop. ``look`` is told how the wait stands."""
    state = replace(state, pacing=pacing())
    await sleep(state.first_wait(clock(), draw()))
    while True:
        seen: Seen
        try:
            seen = await look(state)
        except SegmindError as error:
            seen = error
        state = replace(state, pacing=pacing())
        step = _step(state, seen, clock(), draw())
        on_seen(seen, step)
        if isinstance(step, End):
            return step
        state = step.state
        await sleep(step.seconds)
