"""The worker's side of a wait: looks of its own, and from the end of a wait to the result or its error."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_ltx.exceptions import RequestNotFound, SegmindError, WaitTimeout
from airflow_ltx.segmind.answers import failed_request
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.endings import ending_error
from airflow_ltx.segmind.models import Metrics, RequestResult, State
from airflow_ltx.segmind.narrate import Narrator
from airflow_ltx.segmind.polling import RECORD_KEPT, Ending, Pacing, PollState
from airflow_ltx.segmind.retry import ONCE
from airflow_ltx.segmind.waiting import wait_for_end
from airflow_ltx.triggers.event import BROKEN, RequestEvent

if TYPE_CHECKING:
    from airflow_ltx.hooks.segmind import SegmindHook
    from airflow_ltx.request import Request

_TOLD_BY = 2 * RECORD_KEPT
"""Seconds after a submit by which the history tells the files of what it calls completed: they come late."""


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
            started_at=now(),
            deadline=deadline,
            submitted_at=request.submitted_at,
            interval=interval,
        ),
        pacing=lambda: Pacing(client.account.estimates.of(request.model)),
        on_seen=narrator or Narrator(log, request.request_id, request.submitted_at),
    )
    return RequestEvent.of(end, request.request_id, request.model, request.submitted_at, now=now())


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
    """The result of a wait that is over. What the service has forgotten is asked of the account's history.

    :raises SegmindError: It ended otherwise, or the result cannot be read.
    """
    ending = Ending(told.status)
    if ending is Ending.EXPIRED:
        return _from_history(hook, request, told, _error(request, told, Ending.EXPIRED))
    if ending is Ending.NOT_FOUND and request.submitted_at is None:
        # It may be of any age.
        return _from_history(hook, request, told, _error(request, told, ending))
    if ending is not Ending.COMPLETED:
        raise _error(request, told, ending)
    if told.result is not None and not told.stripped:
        return told.result
    try:
        return _read(hook, request, told)
    except SegmindError:
        if told.result is None:
            raise
        # Its file is landed, so nothing is lost with the queries of its URLs.
        return told.result


def _read(hook: SegmindHook, request: Request, told: RequestEvent) -> RequestResult:
    try:
        return hook.result(request.request_id)
    except RequestNotFound as error:
        if request.submitted_at is None or now() - request.submitted_at < RECORD_KEPT:
            raise
        expired = _error(request, told, Ending.EXPIRED)
        expired.__cause__ = error
        return _from_history(hook, request, told, expired)


def _from_history(
    hook: SegmindHook, request: Request, told: RequestEvent, gone: SegmindError
) -> RequestResult:
    """The files of a request whose record is gone; they live some days longer.

    :param gone: What the service says; raised if the history does not know them either.
    :raises RequestFailed: It says that the request failed.
    :raises SegmindError: It could not be read, or does not tell yet: a retry looks again.
    """
    try:
        entry = hook.history_entry(request.request_id)
    except RequestNotFound:
        raise gone from None
    except SegmindError as error:
        if isinstance(gone, RequestNotFound):
            gone.add(f"Its history could not be asked: {error.message}")
            raise gone from error
        raise
    metrics = Metrics(cost=entry.cost, total_time=entry.latency)
    if entry.state is State.FAILED:
        raise failed_request(request.request_id, entry.error, metrics)
    if entry.state is State.COMPLETED and entry.outputs:
        return RequestResult(request.request_id, entry.outputs, metrics=metrics)
    began = entry.created_at if request.submitted_at is None else request.submitted_at
    if entry.state is State.COMPLETED and began is not None and now() - began >= _TOLD_BY:
        raise _error(request, told, Ending.EXPIRED)
    said = f"says {entry.word or 'nothing'} of it"
    raise RequestNotFound(
        f"Request {request.request_id} is gone from the service, which keeps a record for one hour, and its "
        f"history {said}, {'and no URL yet' if entry.state is State.COMPLETED else 'which is no end'}.",
        request_id=request.request_id,
    )


def _error(request: Request, told: RequestEvent, ending: Ending) -> SegmindError:
    return ending_error(
        ending,
        request.request_id,
        now=now(),
        submitted_at=request.submitted_at,
        reason=told.reason,
        metrics=told.metrics,
        last_word=told.last_word,
    )
