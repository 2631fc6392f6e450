"""A wait told in a few log lines: changes, obstacles and their end, not every look."""

from __future__ import annotations

from typing import Any, Protocol

from airflow_ltx.exceptions import SegmindError
from airflow_ltx.segmind.expiry import Expiry
from airflow_ltx.segmind.models import RequestStatus
from airflow_ltx.segmind.polling import End, Wait

_REPEAT_OBSTACLE_EVERY = 20

NO_CANCEL = (
    "The task was ended while request %s is under way. The service has no way to cancel it: it goes on and "
    "is billed when it completes. Its result can be read under this id for one hour after the submit."
)


COMPLETED_ANYWAY = (
    "The task was ended while the file of request %s was being fetched. The request is completed and billed; "
    "a later try fetches it without buying."
)

OVER = (
    "The task was ended while request %s was over already. Nothing goes on at the service; a later try goes "
    "by how it has ended."
)

MAY_BE_BOUGHT = (
    "The task was ended while its submit was under way. A request may have been bought: look into the "
    "request history of the Segmind console before running the task again."
)

LOOKED_FOR = (
    "The task was ended while it was not known whether its submit had bought a request. A later try looks "
    "for it in the account's history and buys nothing meanwhile."
)


class Logger(Protocol):
    """The part of a logger that is used."""

    def info(self, event: Any, *args: Any) -> Any: ...
    def warning(self, event: Any, *args: Any) -> Any: ...


class Narrator:
    """Called after each look; see ``Watcher`` in :mod:`airflow_ltx.segmind.waiting`."""

    def __init__(self, log: Logger, request_id: str, submitted_at: float | None = None) -> None:
        self._log = log
        self._request_id = request_id
        self._expiry = Expiry(submitted_at)
        self._word: str | None = None
        self._obstacles = 0

    def __call__(self, seen: RequestStatus | SegmindError, step: Wait | End) -> None:
        """Log what is new."""
        late = self._expiry.warning() if isinstance(step, Wait) else None
        if late:
            self._log.warning("Request %s is not over yet. %s", self._request_id, late)
        if isinstance(seen, SegmindError):
            if self._obstacles % _REPEAT_OBSTACLE_EVERY == 0:
                follows = f" Looking again in {step.seconds:.0f} s." if isinstance(step, Wait) else ""
                self._log.warning("%s%s", seen.message, follows)
            self._obstacles += 1
            return
        if self._obstacles:
            self._log.info("Request %s can be read again.", self._request_id)
            self._obstacles = 0
        if seen.word != self._word:
            self._word = seen.word
            took = seen.metrics.total_time
            self._log.info(
                "Request %s: the service says %s%s.",
                self._request_id,
                seen.word,
                f" after {took:.1f} s" if took else "",
            )
