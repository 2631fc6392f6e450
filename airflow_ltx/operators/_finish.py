"""From the end of a wait to the task's return value, or to the error that Airflow gets."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_ltx.exceptions import (
    OutputMissing,
    RequestFailed,
    RequestNotFound,
    ResultExpired,
    SegmindError,
    WaitTimeout,
)
from airflow_ltx.operators._lifecycle import fail_after_purchase
from airflow_ltx.operators._wait import wait_on_worker
from airflow_ltx.outcome import Outcome
from airflow_ltx.segmind.endings import ending_error
from airflow_ltx.segmind.models import RequestResult, State, SubmittedRequest
from airflow_ltx.segmind.polling import RECORD_KEPT, Ending
from airflow_ltx.triggers.event import BROKEN, RequestEvent

if TYPE_CHECKING:
    from airflow_ltx.landing.destination import Destination
    from airflow_ltx.landing.land import Landed
    from airflow_ltx.operators._attempt import Attempt

Publish = Callable[[dict[str, Any]], None]


def look_again(attempt: Attempt, request: SubmittedRequest, told: RequestEvent) -> RequestEvent:
    """One more look at a request that the trigger gave up: time has passed since, and a look is free.

    :raises WaitTimeout: The trigger broke, and the request is still running.
    """
    if told.status not in (BROKEN, Ending.TIMEOUT.value, Ending.DENIED.value):
        return told
    seen = wait_on_worker(attempt.hook, request, deadline=0.0, interval=None, log=attempt.log)
    if told.status == BROKEN and seen.status == Ending.TIMEOUT.value:
        raise WaitTimeout(
            f"The wait for request {request.request_id} broke off in the triggerer ({told.reason}). The "
            "request goes on and will be billed.",
            request_id=request.request_id,
        )
    return seen


def finish(
    attempt: Attempt,
    request: SubmittedRequest,
    told: RequestEvent,
    *,
    destination: Destination | None,
    sent_seed: object,
    publish: Publish,
) -> dict[str, Any]:
    """Fetch the result, land its file, and build the return value.

    :param publish: Called with the return value as far as it is known: before the landing, and after it.
    :raises AirflowFailException: The request is over, and no retry can mend it.
    :raises SegmindError: A retry may; the message says what it will do.
    """
    try:
        result = _collect(attempt, request, told)
        attempt.completed = True
        outcome = Outcome.of(
            request,
            result,
            told.metrics,
            completed_at=told.completed_at,
            reused=attempt.reused,
            sent_seed=sent_seed,
        )
        publish(outcome.to_xcom())
        outcome = outcome.with_file(_land(destination, request, result))
    except RequestFailed as error:
        # One that reports a cost was billed: no retry buys silently, a person who clears the task may.
        if error.cost:
            attempt.settle()
        else:
            attempt.forget()
        fail_after_purchase(error, attempt, request.request_id)
    except (ResultExpired, OutputMissing) as error:
        attempt.settle()
        fail_after_purchase(error, attempt, request.request_id)
    except SegmindError as error:
        fail_after_purchase(error, attempt, request.request_id)
    xcom = outcome.to_xcom()
    publish(xcom)
    cost = xcom["cost"]
    attempt.log.info(
        "Done: request %s, %s; %s.",
        request.request_id,
        "the service did not say what it cost" if cost is None else f"billed ${cost:g}",
        f"{xcom['bytes']} bytes are at {xcom['uri']}" if outcome.landed else "the URL of its file is in XCom",
    )
    return xcom


def submitted_only(attempt: Attempt, request: SubmittedRequest) -> dict[str, Any]:
    """The return value of a task that does not wait."""
    return Outcome(request, State.QUEUED, reused=attempt.reused).to_xcom()


def _collect(attempt: Attempt, request: SubmittedRequest, told: RequestEvent) -> RequestResult:
    if told.status != Ending.COMPLETED.value:
        raise _error(request, told, Ending(told.status))
    if told.result is not None:
        return told.result
    try:
        return attempt.hook.result(request.request_id)
    except RequestNotFound as error:
        if time.time() - request.submitted_at < RECORD_KEPT:
            raise
        raise _error(request, told, Ending.EXPIRED) from error


def _error(request: SubmittedRequest, told: RequestEvent, ending: Ending) -> SegmindError:
    return ending_error(
        ending,
        request.request_id,
        now=time.time(),
        submitted_at=request.submitted_at,
        reason=told.reason,
        metrics=told.metrics,
        last_word=told.last_word,
    )


def _land(destination: Destination | None, request: SubmittedRequest, result: RequestResult) -> Landed | None:
    if destination is None:
        return None
    from airflow_ltx.landing.land import land

    return land(result.outputs[0], destination, request.request_id)
