"""From the end of a wait to the task's return value, or to the error that Airflow gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_ltx import metrics
from airflow_ltx.collect import collect, wait_on_worker
from airflow_ltx.exceptions import (
    DestinationError,
    DownloadFailed,
    RequestFailed,
    ResultExpired,
    SegmindError,
)
from airflow_ltx.operators._landing import how_long_it_is_there, keep_sidecar, landed_files
from airflow_ltx.operators._lifecycle import fail_after_purchase
from airflow_ltx.outcome import Outcome, known_seed
from airflow_ltx.segmind.models import RequestResult, State, SubmittedRequest
from airflow_ltx.segmind.polling import Ending
from airflow_ltx.segmind.redact import unsigned, without_query

if TYPE_CHECKING:
    from airflow_ltx.durability.record import Purchase
    from airflow_ltx.landing.land import Landed
    from airflow_ltx.operators._attempt import Attempt
    from airflow_ltx.operators._plan import Plan
    from airflow_ltx.request import Request
    from airflow_ltx.triggers.event import RequestEvent

Publish = Callable[[dict[str, Any]], None]


def finish(
    attempt: Attempt,
    request: Request,
    told: RequestEvent,
    *,
    plan: Plan,
    sent_seed: object,
    publish: Publish,
) -> dict[str, Any]:
    """Fetch the result, land its file, and build the return value.

    :param publish: Called with the return value as far as it is known: before the landing, and after it.
    :raises AirflowFailException: The request is over, and no retry can mend it.
    :raises SegmindError: A retry may; the message says what it will do.
    """
    try:
        result, files = _collected(attempt, request, told, plan)
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
        outcome = outcome.with_files(files or _land(attempt, plan, request, result, told))
        xcom = _told_files(outcome, plan)
        keep_sidecar(attempt, plan, xcom)
    except RequestFailed as error:
        # One that reports a cost was billed: no retry buys silently, a person who clears the task may.
        if error.cost:
            attempt.lost(error.cost)
        else:
            attempt.failed()
        fail_after_purchase(error, attempt, request.request_id)
    except ResultExpired as error:
        attempt.lost(None)
        metrics.expired(request.model)
        error.add("No retry buys another one; clearing the task does.")
        fail_after_purchase(error, attempt, request.request_id)
    except SegmindError as error:
        fail_after_purchase(error, attempt, request.request_id)
    publish(xcom)
    cost = xcom["cost"]
    attempt.log.info(
        "Done: request %s, %s; %s.",
        request.request_id,
        "the service did not say what it cost" if cost is None else f"billed ${cost:g}",
        f"{xcom['bytes']} bytes are at {xcom['uri']}" if outcome.landed else "the URL of its file is in XCom",
    )
    return xcom


def _collected(
    attempt: Attempt, request: Request, told: RequestEvent, plan: Plan
) -> tuple[RequestResult, tuple[Landed, ...]]:
    """What the service tells of the request; or, where it has forgotten it, the files that are landed."""
    try:
        return collect(attempt.hook, request, told), ()
    except ResultExpired as gone:
        from airflow_ltx.operators._there_already import files_there

        files = files_there(attempt, plan, request)
        if not files:
            raise
        attempt.log.warning(
            "%s What it made is at %s all the same: the try that put it there could not note it any more.",
            gone.message,
            ", ".join(file.uri for file in files),
        )
        return RequestResult(request.request_id, ()), files


def _told_files(outcome: Outcome, plan: Plan) -> dict[str, Any]:
    """The return value; who has each file landed is told of each."""
    told = outcome.to_xcom()
    every = plan.wish is not None and plan.wish.every
    return {**told, "files": outcome.files_to_xcom()} if every else told


def still_gone(attempt: Attempt, purchase: Purchase) -> str | None:
    """One more look at a request that was given up as lost: why nothing of it can be collected.

    None if something may be: then it is dealt with as any other.
    """
    request = purchase.request
    try:
        told = wait_on_worker(attempt.hook, request, deadline=0.0, interval=None, log=attempt.log)
        if told.status == Ending.EXPIRED.value:
            collect(attempt.hook, request, told)
    except ResultExpired as error:
        return error.message
    except SegmindError as error:
        attempt.log.info("Another look at request %s: %s", request.request_id, error.message)
    return None


def submitted_only(attempt: Attempt, request: SubmittedRequest) -> dict[str, Any]:
    """The return value of a task that does not wait."""
    return Outcome(request, State.QUEUED, reused=attempt.reused).to_xcom()


def returned_again(attempt: Attempt, plan: Plan, landed: Mapping[str, Any]) -> dict[str, Any]:
    """What an earlier try returned. If its templates asked for something else in the end, it could not tell
    an author's seed; those of this one do."""
    seed = landed.get("seed")
    return {
        **landed,
        "seed": known_seed(attempt.sent_seed(plan.order)) if seed is None else seed,
        "reused": True,
    }


def failure(attempt: Attempt, request: SubmittedRequest) -> RequestEvent | None:
    """One look at the request of a task that does not wait: how it has failed, if it has."""
    try:
        told = wait_on_worker(attempt.hook, request, deadline=0.0, interval=None, log=attempt.log)
    except SegmindError as error:
        attempt.log.warning("%s It is taken to be under way.", error.message)
        return None
    return told if told.status == Ending.FAILED.value else None


def keepable(result: dict[str, Any]) -> dict[str, Any] | None:
    """What may be kept of a return value: a URL that is signed is a credential.

    None if nothing but such a URL would tell where the file is: then it is looked up anew.
    """
    signed = any(without_query(url) != url for url in result["outputs"])
    return None if signed and result["uri"] is None else unsigned(result)


def _land(
    attempt: Attempt, plan: Plan, request: Request, result: RequestResult, told: RequestEvent
) -> tuple[Landed, ...]:
    try:
        return landed_files(attempt, plan, request, result, told)
    except (DownloadFailed, DestinationError) as error:
        error.add(how_long_it_is_there(request))
        raise
