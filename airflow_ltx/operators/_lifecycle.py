"""How errors reach Airflow: retryable or for good, and with the truth about the money in their text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from airflow_ltx.exceptions import (
    DestinationError,
    RecordConflict,
    RecordUnavailable,
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
    from airflow_ltx.operators._outstanding import left_on_record, outstanding

    waiting = outstanding(attempt) if attempt else None
    if attempt is not None and attempt.stuck is not None:
        error.add(left_on_record(attempt, attempt.stuck))
    elif waiting is not None and not isinstance(error, SubmitOutcomeUnknown | RecordConflict):
        error.retryable = True
        error.add(waiting)
    elif isinstance(error, DestinationError) and attempt is not None and _hides_the_record(attempt):
        error.retryable = True
        error.add(
            "Nothing was sent. What an earlier try bought, if it did, is on record at the destination alone, "
            "and in that try's log: a retry reads it, and takes it up."
        )
    else:
        if isinstance(error, DestinationError):
            error.add("Nothing was sent or billed.")
        if isinstance(error, RecordUnavailable):
            error.add("A retry reads what was bought before, and goes on from there.")
        elif error.retryable and not isinstance(error, SubmitOutcomeUnknown):
            error.add("A retry begins anew.")
    raise_to_airflow(error, log)


def _hides_the_record(attempt: Attempt) -> bool:
    """Whether what is wrong with a destination keeps the only record of earlier tries from being read."""
    return attempt.unread and not attempt.stores.stores and attempt.ti.try_number > 1


def name_what_was_bought(error: SegmindError, conn_id: str, request_id: str) -> None:
    """Of an error that came before the record could be read."""
    error.request_id = request_id
    error.add(
        f"Request {request_id} was bought before that; SegmindHook({conn_id!r}).wait({request_id!r}) "
        "collects it."
    )


def _instead(attempt: Attempt) -> str:
    if attempt.purchase is None or not attempt.purchase.doubtful:
        return "A retry submits a new request."
    return (
        "Only a search had found it, and it may have been somebody else's: a retry looks for another one "
        "with the same parameters, and submits a new request if there is none."
    )


def fail_after_purchase(error: SegmindError, attempt: Attempt, request_id: str) -> NoReturn:
    """Raise an error that stands between a bought request and its file.

    :raises AirflowFailException: The request is over, and nothing is left to collect.
    """
    error.request_id = request_id
    if isinstance(error, RequestFailed):
        if error.retryable:
            error.add(_instead(attempt))
        elif error.cost:
            error.add("No retry buys another one; clearing the task does.")
    elif not isinstance(error, ResultExpired):
        # What is broken now does not undo the purchase: a retry must come, and take it up.
        error.retryable = True
        if request_id not in error.message:
            # Its text may speak of this leg alone, in which indeed nothing was sent.
            error.add(f"Request {request_id} was bought before that.")
        error.add(attempt.next_try(request_id))
    if not error.retryable:
        from airflow_ltx.operators._outstanding import bought_besides

        besides = bought_besides(attempt)
        if besides is not None:
            error.retryable = True
            error.add(besides)
    raise_to_airflow(error, attempt.log)
