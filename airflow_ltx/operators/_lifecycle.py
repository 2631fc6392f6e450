"""How errors reach Airflow: retryable or for good, and with the truth about the money in their text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from airflow_ltx.exceptions import (
    DestinationError,
    RequestFailed,
    ResultExpired,
    SegmindError,
    SubmitOutcomeUnknown,
)
from airflow_ltx.failure import raise_to_airflow

if TYPE_CHECKING:
    from airflow_ltx.operators._attempt import Attempt


def fail_before_purchase(error: SegmindError, attempt: Attempt | None, log: Any) -> NoReturn:
    """Raise an error that kept this try from buying.

    If an earlier try bought, the task must be retried: the error stands between it and what was paid for.

    :raises AirflowFailException: No retry can mend it, and nothing is outstanding.
    """
    outstanding = attempt.outstanding if attempt else None
    if outstanding is not None and not isinstance(error, SubmitOutcomeUnknown):
        error.retryable = True
        _append(error, f"Request {outstanding}, bought by an earlier try, goes on: a retry takes it up.")
    elif isinstance(error, DestinationError):
        _append(error, "Nothing was sent or billed.")
    raise_to_airflow(error, log)


def fail_after_purchase(error: SegmindError, attempt: Attempt, request_id: str) -> NoReturn:
    """Raise an error that stands between a bought request and its file.

    :raises AirflowFailException: The request is over, and nothing is left to collect.
    """
    error.request_id = request_id
    over = isinstance(error, RequestFailed | ResultExpired)
    if not over:
        # What is broken now does not undo the purchase: a retry must come, and take it up.
        error.retryable = True
        _append(error, attempt.next_try(request_id))
    raise_to_airflow(error, attempt.log)


def _append(error: SegmindError, sentence: str) -> None:
    error.message = f"{error.message} {sentence}"
    error.args = (error.message,)
