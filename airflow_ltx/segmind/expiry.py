"""How long a request's record is still kept, in words: what was paid for has to be fetched before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.moments import utc_text
from airflow_ltx.segmind.polling import RECORD_KEPT

WARN_AT = (0.5, 0.8)
"""Shares of a record's time after which a wait, or a landing, is said to be late."""


@dataclass(slots=True)
class Expiry:
    """Of one request. ``submitted_at``: epoch seconds; None if nobody knows."""

    submitted_at: float | None
    clock: Callable[[], float] = now
    _warned: float = 0.0

    def warning(self) -> str | None:
        """A sentence, once for each share in :data:`WARN_AT` that has passed; else None."""
        if self.submitted_at is None:
            return None
        share = (self.clock() - self.submitted_at) / RECORD_KEPT
        passed = max((at for at in WARN_AT if share >= at), default=0.0)
        if passed <= self._warned or share >= 1:
            return None
        self._warned = passed
        return (
            f"{passed:.0%} of the hour have passed for which the service keeps its record: it "
            f"{self.until()}. What is not fetched by then may be found in the Segmind console only."
        )

    def until(self) -> str:
        """When the record goes, or went."""
        if self.submitted_at is None:
            return "is kept for one hour after the submit"
        end = self.submitted_at + RECORD_KEPT
        return f"{'is kept until' if self.clock() < end else 'was kept until'} {utc_text(end)}"
