"""What the trigger tells the worker: a wire format, since events cross processes and package versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from airflow_ltx.exceptions import SegmindError
from airflow_ltx.segmind.models import Metrics, RequestResult
from airflow_ltx.segmind.plain import plain
from airflow_ltx.segmind.polling import End, Ending

VERSION = 1
BROKEN = "error"
"""Status of an event whose trigger met something unforeseen; the worker looks for itself."""

STATUSES = frozenset({*(ending.value for ending in Ending), BROKEN})


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """The end of a wait. Times are epoch seconds of the machine that measured them.

    :param status: One of :data:`STATUSES`.
    :param result: The files. No URL has a query, since the triggerer logs whole events: where one had, the
        worker reads the result itself.
    :param stripped: The URLs in ``result`` have lost their queries. They say what was made, should the
        service have forgotten it by the time a worker asks.
    :param landed: The files that the triggerer put at the destination, the main one first.
    :param landing_error: Why it could not.
    :param reason: The service's words for a failure, or the obstacle.
    :param fingerprint: Of what the task bought, as the trigger was given it: the task's templates may say
        something else by now, and there may be no record.
    :param seed: What was sent, drawn or given.
    :param wait: Name of the wait that it is of.
    """

    status: str
    request_id: str
    model: str | None = None
    submitted_at: float | None = None
    completed_at: float | None = None
    reason: str | None = None
    last_word: str | None = None
    metrics: Metrics = field(default_factory=Metrics)
    result: RequestResult | None = None
    stripped: bool = False
    landed: tuple[Mapping[str, Any], ...] = ()
    landing_error: str | None = None
    fingerprint: str | None = None
    seed: int | None = None
    wait: str | None = None

    @classmethod
    def of(
        cls,
        end: End,
        request_id: str,
        model: str | None,
        submitted_at: float | None,
        *,
        now: float,
    ) -> Self:
        """Read the end of a wait; ``now`` is when it was seen."""
        return cls(
            status=end.ending.value,
            request_id=request_id,
            model=model,
            submitted_at=submitted_at,
            completed_at=now if end.ending is Ending.COMPLETED else None,
            reason=end.reason,
            last_word=end.word,
            metrics=end.status.metrics if end.status else Metrics(),
        )

    def to_payload(self) -> dict[str, Any]:
        """A dict of JSON primitives, without any URL's query."""
        shown = self
        if self.result is not None and any(output.signed for output in self.result.outputs):
            kept = self.result.without_queries() if self.landed else None
            shown = replace(self, result=kept, stripped=True)
        rest = asdict(replace(shown, landed=()))
        told: dict[str, Any] = plain({"version": VERSION, **rest, "landed": shown.landed})
        return told

    @classmethod
    def from_payload(cls, payload: Any) -> Self:
        """Read an event of this or an earlier version; keys of a later one are ignored.

        :raises SegmindError: It is no event of this trigger. Unknown statuses are refused, not guessed.
        """
        status = payload.get("status") if isinstance(payload, Mapping) else None
        if not isinstance(status, str) or status not in STATUSES:
            raise SegmindError(
                f"The trigger sent an event that this version does not understand: {payload!r:.200}. The "
                "request goes on at the service; its id is in the log above and in the XCom 'request_id'."
            )
        request_id = payload.get("request_id")
        if not isinstance(request_id, str) or not request_id:
            raise SegmindError(f"The trigger sent an event without a request id: {payload!r:.200}.")
        metrics = payload.get("metrics") or {}
        result = payload.get("result")
        return cls(
            status=status,
            request_id=request_id,
            model=payload.get("model"),
            submitted_at=payload.get("submitted_at"),
            completed_at=payload.get("completed_at"),
            reason=payload.get("reason"),
            last_word=payload.get("last_word"),
            metrics=Metrics(**{k: v for k, v in metrics.items() if k in Metrics.__dataclass_fields__}),
            result=RequestResult.from_json(result) if result else None,
            stripped=payload.get("stripped") is True,
            landed=tuple(payload.get("landed") or ()),
            landing_error=payload.get("landing_error"),
            fingerprint=payload.get("fingerprint"),
            seed=payload.get("seed"),
            wait=payload.get("wait"),
        )
