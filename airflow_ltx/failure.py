"""How an error of the service becomes a failed task."""

from __future__ import annotations

from typing import Any, NoReturn

from airflow.sdk.exceptions import AirflowFailException

from airflow_ltx.exceptions import SegmindError, joined


def raise_to_airflow(error: SegmindError, log: Any, *, over: bool = False) -> NoReturn:
    """Say it in a line of its own, then raise: an exception alone is shown as a traceback.

    :param over: There is nothing left that another try could collect.
    :raises AirflowFailException: No retry can mend it.
    """
    if error.retryable and not over:
        log.error("%s", error.message)
        raise error
    # Whoever set retries and sees one try alone wonders why.
    message = joined(error.message, "The task is not retried.")
    log.error("%s", message)
    raise AirflowFailException(message) from error
