"""The error that each unhappy ending of a wait stands for: what happened to the request, and to the money."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow_ltx.exceptions import (
    AuthenticationFailed,
    RequestNotFound,
    ResultExpired,
    SegmindError,
    WaitTimeout,
)
from airflow_ltx.segmind.answers import failed_request
from airflow_ltx.segmind.models import Metrics
from airflow_ltx.segmind.polling import RECORD_KEPT, Ending


def ending_error(
    ending: Ending,
    request_id: str,
    *,
    now: float,
    submitted_at: float | None = None,
    reason: str | None = None,
    metrics: Metrics | None = None,
    last_word: str | None = None,
) -> SegmindError:
    """Build the error for any ending but ``COMPLETED``.

    :param reason: The service's own words for FAILED, the last obstacle's for the others.
    :param now: Epoch seconds, for the ages in the sentence.
    """
    obstacle = f" Last obstacle: {reason}" if reason else ""
    match ending:
        case Ending.FAILED:
            return failed_request(request_id, reason, metrics or Metrics())
        case Ending.TIMEOUT:
            age = "" if submitted_at is None else f" {now - submitted_at:.0f} s after its submit"
            seen = f"is still running ({last_word})" if last_word else "was not seen to finish"
            return WaitTimeout(
                f"Request {request_id} {seen}{age}. The service has no way to cancel it: "
                f"it goes on and will be billed.{_readable_until(submitted_at)}{obstacle}",
                request_id=request_id,
            )
        case Ending.EXPIRED:
            return ResultExpired(
                f"Request {request_id} was submitted {_age(now, submitted_at)} ago, and the service keeps "
                "a record for one hour. If it finished it was billed; the Segmind console may still show "
                f"the file, which lives longer than the record.{obstacle}",
                request_id=request_id,
            )
        case Ending.NOT_FOUND:
            age = "" if submitted_at is None else f", submitted {_age(now, submitted_at)} ago,"
            return RequestNotFound(
                f"Request {request_id}{age} is unknown to the service. It belongs to another workspace or "
                "API key than the connection's, the connection's base URL is another service's, or the id is "
                f"wrong. Nothing was bought in its place.{obstacle}",
                request_id=request_id,
            )
        case _:
            denied = AuthenticationFailed(
                f"Request {request_id} could not be looked at: the service kept refusing the connection's "
                f"key, or the connection could not be read. The request goes on and will be billed."
                f"{_readable_until(submitted_at)} Correct the connection.{obstacle}",
                request_id=request_id,
            )
            # Unlike a submit's: the request is paid for, and a key that is mended collects it.
            denied.retryable = True
            return denied


def _age(now: float, submitted_at: float | None) -> str:
    if submitted_at is None:
        return "some time"
    seconds = now - submitted_at
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _readable_until(submitted_at: float | None) -> str:
    if submitted_at is None:
        return ""
    until = datetime.fromtimestamp(submitted_at + RECORD_KEPT, UTC)
    return f" Its result can be read until about {until:%Y-%m-%d %H:%M} UTC."
