"""A finished request's files at their destination: what the triggerer landed, checked, or landed here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_ltx import metrics
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.expiry import Expiry

if TYPE_CHECKING:
    from airflow_ltx.landing.land import Landed
    from airflow_ltx.landing.wish import Wish
    from airflow_ltx.operators._attempt import Attempt
    from airflow_ltx.operators._plan import Plan
    from airflow_ltx.request import Request
    from airflow_ltx.segmind.endpoints import ClientConfig
    from airflow_ltx.segmind.models import Output, RequestResult
    from airflow_ltx.triggers.event import RequestEvent


def landed_files(
    attempt: Attempt, plan: Plan, request: Request, result: RequestResult, told: RequestEvent
) -> tuple[Landed, ...]:
    """A request's files at their destination, the main one first; none without a destination.

    :raises DownloadFailed: The file host did not give one of them.
    :raises DestinationError: The destination refused one of them.
    """
    wish = plan.wish_of(attempt)
    return () if wish is None else land_result(wish, request, result, told, attempt.hook.config, attempt.log)


def land_result(
    wish: Wish, request: Request, result: RequestResult, told: RequestEvent, config: ClientConfig, log: Any
) -> tuple[Landed, ...]:
    """See :func:`landed_files`."""
    if told.landed:
        there = _there(wish, request, told)
        if there:
            return there
        log.warning(
            "The triggerer landed %s, which is not where this task would put it, or not there any more. "
            "Landing again.",
            told.landed[0].get("uri"),
        )
    elif told.landing_error is not None:
        log.warning("The triggerer could not land the file, so this worker does: %s", told.landing_error)
    # What is to be landed, and cannot be any more once its record is gone.
    late = Expiry(request.submitted_at).warning()
    if late:
        log.warning("Request %s is completed, and its file not landed yet. %s", request.request_id, late)
    return _land(config, wish, request, result.outputs)


def is_there(wish: Wish | None, result: Mapping[str, Any]) -> bool:
    """Whether what an earlier try returned is still there, and all that this task wants."""
    uri, files = result.get("uri"), result.get("files")
    if wish is None or uri is None:
        return wish is None and uri is None
    if wish.every and not files and len(result.get("outputs") or ()) > 1:
        return False
    from airflow_ltx.landing.land import is_landed

    whose = (str(result.get("request_id")),)
    return all(
        is_landed(wish.destination, str(file.get("uri")), file.get("bytes"), file.get("sha256"), whose)
        for file in files or (result,)
    )


def keep_sidecar(attempt: Attempt, plan: Plan, result: Mapping[str, Any], *, renew: bool = True) -> None:
    """Write what was asked for beside the main file, if the author wants it.

    :raises DestinationError: The destination refuses.
    """
    wish = plan.wish_of(attempt)
    if not plan.sidecar or wish is None or result.get("uri") is None:
        return
    from airflow_ltx.landing.sidecar import write_sidecar

    sent = attempt.sent_body(plan.order)
    if sent is None:
        attempt.log.warning(
            "The templates of this task say something else than what was bought, so its sidecar names no "
            "parameters."
        )
    write_sidecar(wish, result, sent, renew=renew)


def how_long_it_is_there(request: Request) -> str:
    """What a person needs to know who would save a file by hand."""
    return f"Its record at the service {Expiry(request.submitted_at).until()}."


def _there(wish: Wish, request: Request, told: RequestEvent) -> tuple[Landed, ...]:
    from airflow_ltx.landing.land import Landed, is_landed

    landed = tuple(Landed.from_json(each) for each in told.landed)
    whose = (request.request_id,)
    holds = all(is_landed(wish.destination, each.uri, each.size, each.sha256, whose) for each in landed)
    return landed if holds else ()


def _land(
    config: ClientConfig, wish: Wish, request: Request, outputs: tuple[Output, ...]
) -> tuple[Landed, ...]:
    from airflow_ltx.landing.in_thread import in_thread
    from airflow_ltx.landing.land import land_outputs
    from airflow_ltx.segmind.reach import Reach

    land = partial(
        land_outputs,
        outputs,
        wish,
        request.request_id,
        reach=Reach.of(config),
        model=request.model,
    )
    began = now()
    landed = in_thread(lambda stop: land(stop=stop)) if wish.destination.remote else land()
    metrics.landed("worker", now() - began, sum(each.size for each in landed))
    return landed
