"""How an error of the service becomes a failed task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from airflow.sdk.exceptions import AirflowFailException

from airflow_ltx.exceptions import OutputMissing, RequestFailed, SegmindError, joined


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


@contextmanager
def failing(who: str, log: Any) -> Iterator[None]:
    """Errors of a task that buys nothing, as Airflow takes them: for good, or to be retried.

    :param who: What the task is called.
    """
    try:
        yield
    except RequestFailed as error:
        error.add(f"The {who} buys nothing: run what submitted the request to have another one.")
        raise_to_airflow(error, log, over=True)
    except SegmindError as error:
        # A request that has no file does not get one; another look may mend the rest.
        over = isinstance(error, OutputMissing)
        if error.retryable and not over:
            error.add(f"The {who} buys nothing. A retry looks again.")
        raise_to_airflow(error, log, over=over)
