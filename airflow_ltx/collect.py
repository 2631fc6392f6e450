"""The worker's side of a wait: looks of its own, and from the end of a wait to the result or its error."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_ltx.exceptions import RequestNotFound, SegmindError, WaitTimeout
from airflow_ltx.segmind.endings import ending_error
from airflow_ltx.segmind.narrate import Narrator
from airflow_ltx.segmind.polling import RECORD_KEPT, Ending, PollState
from airflow_ltx.segmind.retry import ONCE
from airflow_ltx.segmind.waiting import wait_for_end
from airflow_ltx.triggers.event import BROKEN, RequestEvent

if TYPE_CHECKING:
    from airflow_ltx.hooks.segmind import SegmindHook
    from airflow_ltx.request import Request
    from airflow_ltx.segmind.models import RequestResult


def wait_on_worker(
    hook: SegmindHook,
    request: Request,
    *,
    deadline: float,
    interval: float | None,
    log: Any,
    narrator: Narrator | None = None,
) -> RequestEvent:
    """Look until the request ends or ``deadline`` (epoch seconds) has passed; always once.

    The same looks, decisions and event as the trigger's.

    :param narrator: Of earlier looks at the same request, so that only what is new is told.
    """
    client = hook.get_conn()
    end = wait_for_end(
        lambda: client.status(request.request_id, retry=ONCE),
        PollState(
            started_at=time.time(),
            deadline=deadline,
            submitted_at=request.submitted_at,
            interval=interval,
        ),
        on_seen=narrator or Narrator(log, request.request_id),
    )
    return RequestEvent.of(end, request.request_id, request.model, request.submitted_at, now=time.time())


def look_again(hook: SegmindHook, request: Request, told: RequestEvent, log: Any) -> RequestEvent:
    """One more look at a request that the trigger gave up: time has passed since, and a look is free.

    :raises WaitTimeout: The trigger broke, and the request is still running.
    """
    if told.status not in (BROKEN, Ending.TIMEOUT.value, Ending.DENIED.value):
        return told
    seen = wait_on_worker(hook, request, deadline=0.0, interval=None, log=log)
    if told.status == BROKEN and seen.status == Ending.TIMEOUT.value:
        raise WaitTimeout(
            f"The wait for request {request.request_id} broke off in the triggerer ({told.reason}). The "
            "request goes on and will be billed.",
            request_id=request.request_id,
        )
    if seen.status in (Ending.COMPLETED.value, Ending.FAILED.value):
        return seen
    # Both: that no triggerer answered, and what stands in the way now.
    reasons = dict.fromkeys(reason.rstrip(" .") for reason in (told.reason, seen.reason) if reason)
    return replace(seen, reason="; ".join(reasons) or None)


def collect(hook: SegmindHook, request: Request, told: RequestEvent) -> RequestResult:
    """The result of a wait that is over.

    :raises SegmindError: It ended otherwise, or the result cannot be read.
    """
    if told.status != Ending.COMPLETED.value:
        raise _error(request, told, Ending(told.status))
    if told.result is not None:
        return told.result
    try:
        return hook.result(request.request_id)
    except RequestNotFound as error:
        if request.submitted_at is None or time.time() - request.submitted_at < RECORD_KEPT:
            raise
        raise _error(request, told, Ending.EXPIRED) from error


def _error(request: Request, told: RequestEvent, ending: Ending) -> SegmindError:
    return ending_error(
        ending,
        request.request_id,
        now=time.time(),
        submitted_at=request.submitted_at,
        reason=told.reason,
        metrics=told.metrics,
        last_word=told.last_word,
    )
