"""How a task hands its wait to the triggerer, and what it makes of a triggerer that did not answer."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import TaskDeferralTimeout

from airflow_ltx.exceptions import ConfigurationError
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.polling import Ending
from airflow_ltx.triggers.astray import of_a_new_wait
from airflow_ltx.triggers.event import BROKEN, RequestEvent
from airflow_ltx.triggers.segmind import SegmindRequestTrigger

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from airflow_ltx.durability.recovery import Wanted
    from airflow_ltx.request import Request
    from airflow_ltx.triggers.recovery import SegmindRecoveryTrigger
    from airflow_ltx.triggers.turn import SegmindTurnTrigger

BACKSTOP = 660.0
"""Seconds from a wait's own deadline to Airflow's: the landing limit and a minute. Airflow's skips
``execute_complete``, so it must never come first."""


def request_trigger(
    request: Request,
    segmind_conn_id: str,
    *,
    deadline: float,
    poll_interval: float | None,
    landing: dict[str, Any] | None = None,
    fingerprint: str | None = None,
    seed: int | None = None,
) -> SegmindRequestTrigger:
    """The trigger of a task that defers now. ``deadline``: epoch seconds."""
    return SegmindRequestTrigger(
        request.request_id,
        segmind_conn_id,
        model=request.model,
        submitted_at=request.submitted_at,
        deadline=deadline,
        poll_interval=poll_interval,
        landing=landing,
        fingerprint=fingerprint,
        seed=seed,
        **of_a_new_wait(),
    )


def recovery_trigger(wanted: Wanted, segmind_conn_id: str, *, deadline: float) -> SegmindRecoveryTrigger:
    """The trigger of a task whose submit's answer was lost. ``deadline``: epoch seconds."""
    from airflow_ltx.triggers.recovery import SegmindRecoveryTrigger

    return SegmindRecoveryTrigger(
        wanted.model,
        wanted.marks,
        wanted.seeded,
        wanted.intent_at,
        deadline,
        segmind_conn_id,
        others=wanted.others,
        drawn=wanted.drawn,
        **of_a_new_wait(),
    )


def turn_trigger(segmind_conn_id: str, *, opens_at: float, deadline: float) -> SegmindTurnTrigger:
    """The trigger of a task whose submit a rate limit refused. All times are epoch seconds."""
    from airflow_ltx.triggers.turn import SegmindTurnTrigger

    return SegmindTurnTrigger(
        segmind_conn_id,
        opens_at=opens_at,
        deadline=deadline,
        **of_a_new_wait(),
    )


def check_storable(trigger: BaseTrigger) -> None:
    """Store and read a trigger as Airflow will; before the purchase, since Airflow does so only after it.

    :raises ConfigurationError: It does not come back as it was.
    """
    _, kwargs = trigger.serialize()
    stored = json.loads(json.dumps(kwargs))
    if type(trigger)(**stored).serialize()[1] != kwargs:
        raise ConfigurationError(f"The trigger's arguments do not survive storing: {kwargs!r}.")


def backstop(deadline: float, call_timeout: float) -> timedelta:
    """Airflow's own time-out for the deferral.

    :param deadline: Epoch seconds at which the trigger gives up by itself.
    :param call_timeout: Seconds that one call may take: the last look and the reading of the result come
        after the deadline.
    """
    return timedelta(seconds=max(0.0, deadline - now()) + BACKSTOP + 4 * call_timeout)


def unanswered(request: Request, error: Exception) -> RequestEvent:
    """The event that a triggerer which timed out or could not run the trigger did not send."""
    timeout = isinstance(error, TaskDeferralTimeout)
    return RequestEvent(
        status=Ending.TIMEOUT.value if timeout else BROKEN,
        request_id=request.request_id,
        model=request.model,
        submitted_at=request.submitted_at,
        reason=_why(error),
    )


def unanswered_turn(error: Exception) -> str:
    """As :func:`unanswered`, for a submit that a rate limit refused: a line for the log."""
    return f"The turn of this task's submit was not waited for: {_why(error)}. It is sent now."


def unanswered_search(error: Exception) -> dict[str, Any]:
    """As :func:`unanswered`, for the search of a lost request."""
    from airflow_ltx.durability.recovery import Fate, Verdict
    from airflow_ltx.triggers.recovery import to_payload

    return to_payload(Verdict(Fate.UNREADABLE, reason=_why(error)))


def _why(error: Exception) -> str:
    if isinstance(error, TaskDeferralTimeout):
        return (
            "no triggerer finished the wait in time. Check that one is running ('airflow jobs check "
            "--job-type TriggererJob'), that it has room ([triggerer] capacity) and that this package is "
            "installed there"
        )
    return f"{error}; check that this package is installed where the triggerer runs"
