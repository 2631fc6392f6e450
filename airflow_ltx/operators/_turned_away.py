"""A submit that a rate limit refused: the task comes back for it, and holds no worker slot meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_ltx.exceptions import RateLimited
from airflow_ltx.segmind.clock import now

if TYPE_CHECKING:
    from airflow_ltx.operators._attempt import Attempt
    from airflow_ltx.triggers.turn import SegmindTurnTrigger

PATIENCE = 5.0
"""Seconds until a reset that are waited for in the worker slot: a deferral costs about as much."""


@dataclass(frozen=True, slots=True)
class Turn:
    """How a task waits for its turn.

    :param timeout: Airflow's, should no triggerer answer.
    :param since: Epoch seconds of the first refusal.
    """

    trigger: SegmindTurnTrigger
    timeout: timedelta
    since: float


def turn_for(error: RateLimited, attempt: Attempt, timeout: float) -> Turn | None:
    """What to defer to after ``error``; None if the time for it is over.

    :param timeout: Seconds from the first refusal.
    """
    from airflow_ltx.triggers.deferral import backstop, turn_trigger

    since = now() if attempt.refused_since is None else attempt.refused_since
    pause, deadline = error.retry_after or 0.0, since + timeout
    if now() + pause >= deadline:
        error.add(f"That has been so for {now() - since:.0f} s, and timeout is {timeout:g} s.")
        return None
    attempt.log.info(
        "The account's limit of requests per minute refused the submit: nothing was bought. It is sent in "
        "%.0f s or later, when its turn has come; no worker slot is held until then.",
        pause,
    )
    trigger = turn_trigger(attempt.hook.segmind_conn_id, opens_at=now() + pause, deadline=deadline)
    return Turn(trigger, backstop(deadline, attempt.hook.config.timeout), since)
