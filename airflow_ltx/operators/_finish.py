"""From the end of a wait to the task's return value, or to the error that Airflow gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_ltx.collect import collect
from airflow_ltx.exceptions import OutputMissing, RequestFailed, ResultExpired, SegmindError
from airflow_ltx.operators._lifecycle import fail_after_purchase
from airflow_ltx.outcome import Outcome
from airflow_ltx.segmind.models import RequestResult, State, SubmittedRequest

if TYPE_CHECKING:
    from airflow_ltx.landing.destination import Destination
    from airflow_ltx.landing.land import Landed
    from airflow_ltx.operators._attempt import Attempt
    from airflow_ltx.triggers.event import RequestEvent

Publish = Callable[[dict[str, Any]], None]


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
        result = collect(attempt.hook, request, told)
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


def _land(destination: Destination | None, request: SubmittedRequest, result: RequestResult) -> Landed | None:
    if destination is None:
        return None
    from airflow_ltx.landing.land import land

    return land(result.outputs[0], destination, request.request_id)
