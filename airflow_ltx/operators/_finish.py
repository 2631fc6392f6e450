"""From the end of a wait to the task's return value, or to the error that Airflow gets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow_ltx.exceptions import RequestFailed, RequestNotFound, ResultExpired, SegmindError
from airflow_ltx.operators._lifecycle import raise_to_airflow
from airflow_ltx.operators._wait import wait_on_worker
from airflow_ltx.outcome import Outcome
from airflow_ltx.segmind.endings import ending_error
from airflow_ltx.segmind.models import RequestResult, State, SubmittedRequest
from airflow_ltx.segmind.polling import RECORD_KEPT, Ending
from airflow_ltx.triggers.event import BROKEN, RequestEvent

if TYPE_CHECKING:
    from airflow_ltx.landing.land import Landed
    from airflow_ltx.operators._attempt import Attempt

# Time has passed since the trigger gave up, and a look is free.
_LOOK_AGAIN = (BROKEN, Ending.TIMEOUT.value, Ending.DENIED.value)


def finish(attempt: Attempt, request: SubmittedRequest, told: RequestEvent) -> dict[str, Any]:
    """Land the file and build the return value.

    :raises AirflowFailException: No retry can mend it.
    :raises SegmindError: A retry may; the message says what it will do.
    """
    try:
        if told.status in _LOOK_AGAIN:
            told = wait_on_worker(attempt.hook, request, deadline=0.0, interval=None, log=attempt.log)
        result = _collect(attempt, request, told)
        landed = _land(attempt, request, result)
    except RequestFailed as error:
        # One that reports a cost was billed: the record stays, and no retry buys silently.
        if not error.cost:
            attempt.forget()
        raise_to_airflow(error)
    except ResultExpired as error:
        attempt.settle()
        raise_to_airflow(error)
    except SegmindError as error:
        raise_to_airflow(error, recorded=attempt.store is not None)
    outcome = Outcome.of(
        request,
        result,
        told.metrics,
        completed_at=told.completed_at,
        landed=landed,
        reused=attempt.reused,
        sent_seed=attempt.parameters.get("seed"),
    )
    xcom = outcome.to_xcom()
    cost = xcom["cost"]
    attempt.log.info(
        "Done: request %s, %s; %s.",
        request.request_id,
        "the service did not say what it cost" if cost is None else f"billed ${cost:g}",
        f"{landed.size} bytes are at {landed.uri}" if landed else "the URL of its file is in XCom",
    )
    return xcom


def submitted_only(attempt: Attempt, request: SubmittedRequest) -> dict[str, Any]:
    """The return value of a task that does not wait."""
    return Outcome(request, State.QUEUED, reused=attempt.reused).to_xcom()


def _collect(attempt: Attempt, request: SubmittedRequest, told: RequestEvent) -> RequestResult:
    if told.status == Ending.COMPLETED.value:
        if told.result is not None:
            return told.result
        try:
            return attempt.hook.result(request.request_id)
        except RequestNotFound as error:
            if time.time() - request.submitted_at < RECORD_KEPT:
                raise
            raise _error(request, told, Ending.EXPIRED) from error
    if told.status == BROKEN:
        raise SegmindError(
            f"The wait for request {request.request_id} broke off: {told.reason}. The request goes on and is "
            "billed when it completes.",
            request_id=request.request_id,
        )
    raise _error(request, told, Ending(told.status))


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


def _land(attempt: Attempt, request: SubmittedRequest, result: RequestResult) -> Landed | None:
    if attempt.destination is None:
        return None
    from airflow_ltx.landing.land import land

    return land(result.outputs[0], attempt.destination, request.request_id)
