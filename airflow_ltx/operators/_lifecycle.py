"""What an operator says to people and to Airflow about a request: log lines, error texts, exceptions."""

from __future__ import annotations

from typing import NoReturn

from airflow.sdk.exceptions import AirflowFailException

from airflow_ltx.exceptions import SegmindError, SubmitOutcomeUnknown


def next_try(*, recorded: bool, request_id: str) -> str:
    """What a retry does once a request was bought."""
    if recorded:
        return "A retry takes up this request and buys nothing."
    return (
        "This Airflow keeps no record between tries (that needs 3.3): a retry buys a new request. Collect "
        f"this one with SegmindHook().wait({request_id!r})."
    )


def raise_to_airflow(error: SegmindError, *, recorded: bool | None = None) -> NoReturn:
    """Raise for Airflow: as ``AirflowFailException`` where no retry can mend it, else as it is.

    :param recorded: Whether a retry finds the purchase again; None if nothing was bought.
    """
    if recorded is not None and error.retryable and error.request_id:
        error.message = f"{error.message} {next_try(recorded=recorded, request_id=error.request_id)}"
        error.args = (error.message,)
    if not error.retryable or isinstance(error, SubmitOutcomeUnknown):
        raise AirflowFailException(error.message) from error
    raise error
