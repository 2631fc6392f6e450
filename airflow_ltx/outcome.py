"""What a task returns: one JSON dict with stable keys, null where something is unknown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_ltx.segmind.models import Metrics, Output, RequestResult, State
from airflow_ltx.segmind.polling import RECORD_KEPT

if TYPE_CHECKING:
    from airflow_ltx.landing.land import Landed
    from airflow_ltx.request import Request


_LAST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A request as far as the task knows it. Times are epoch seconds, sizes bytes, money US dollars."""

    request: Request
    state: State
    outputs: tuple[Output, ...] = ()
    seed: int | None = None
    metrics: Metrics = field(default_factory=Metrics)
    completed_at: float | None = None
    files: tuple[Landed, ...] = ()
    reused: bool = False

    @classmethod
    def of(
        cls,
        request: Request,
        result: RequestResult,
        metrics: Metrics,
        *,
        completed_at: float | None,
        reused: bool,
        sent_seed: object,
    ) -> Outcome:
        """Join what the status and the result said; the result's numbers win.

        :param completed_at: Epoch seconds at which the completion was first seen.
        :param sent_seed: The seed that was asked for, should the result not name one.
        """
        return cls(
            request=request,
            state=State.COMPLETED,
            outputs=result.outputs,
            seed=result.seed if result.seed is not None else known_seed(sent_seed),
            metrics=merge(result.metrics, metrics),
            completed_at=completed_at,
            reused=reused,
        )

    @property
    def landed(self) -> Landed | None:
        """The main file at its destination."""
        return self.files[0] if self.files else None

    def with_files(self, files: tuple[Landed, ...]) -> Outcome:
        """The same with its files at their destination."""
        return replace(self, files=files)

    def files_to_xcom(self) -> list[dict[str, Any]]:
        """Each landed file, in the terms of the return value."""
        return [
            {"uri": it.uri, "bytes": it.size, "sha256": it.sha256, "content_type": it.content_type}
            for it in self.files
        ]

    def to_xcom(self) -> dict[str, Any]:
        """The task's return value. Times as ISO 8601 in UTC."""
        main = self.outputs[0] if self.outputs else None
        landed = self.landed
        return {
            "request_id": self.request.request_id or None,
            "model": self.request.model,
            "status": self.state.value,
            "output_url": main.url if main else None,
            "outputs": [output.url for output in self.outputs],
            "uri": landed.uri if landed else None,
            "bytes": landed.size if landed else (main.file_size if main else None),
            "sha256": landed.sha256 if landed else None,
            "content_type": (landed.content_type if landed else None)
            or (main.content_type if main else None),
            "seed": self.seed,
            "cost": self.metrics.cost,
            "queue_time": self.metrics.queue_time,
            "inference_time": self.metrics.inference_time,
            "submitted_at": _iso(self.request.submitted_at),
            "completed_at": _iso(self.completed_at),
            "expires_at": _iso(_expiry(self.request.submitted_at)),
            "reused": self.reused,
        }


def merge(first: Metrics, second: Metrics) -> Metrics:
    """Each number from ``first``, or from ``second`` where the first has none."""
    return Metrics(
        **{
            name: getattr(first, name) if getattr(first, name) is not None else getattr(second, name)
            for name in Metrics.__dataclass_fields__
        }
    )


def known_seed(sent: object) -> int | None:
    """The seed of a video for which this one was asked for."""
    # A negative seed asked the service to draw one, and it did not say which.
    return sent if isinstance(sent, int) and not isinstance(sent, bool) and sent >= 0 else None


def _expiry(submitted_at: float | None) -> float | None:
    return None if submitted_at is None else submitted_at + RECORD_KEPT


def _iso(moment: float | None) -> str | None:
    if moment is None or not 0 <= moment <= _LAST:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
