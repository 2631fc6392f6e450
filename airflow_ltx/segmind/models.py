"""What the service says, as frozen values. Times in seconds, money in US dollars (a credit is a dollar)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from airflow_ltx.segmind.numbers import number_or_none
from airflow_ltx.segmind.redact import without_query


class State(StrEnum):
    """Where a request stands. ``UNKNOWN`` is a word this package does not know: treated as still running."""

    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def read(cls, word: object) -> State:
        """Fold the service's status string; anything unforeseen is ``UNKNOWN``."""
        try:
            return cls(str(word).strip().upper())
        except ValueError:
            return cls.UNKNOWN

    @property
    def finished(self) -> bool:
        """Whether the service will not change it any more."""
        return self in (State.COMPLETED, State.FAILED)


@dataclass(frozen=True, slots=True)
class Metrics:
    """What the service measured. Any of it may be missing."""

    cost: float | None = None
    remaining_credits: float | None = None
    queue_time: float | None = None
    inference_time: float | None = None
    total_time: float | None = None
    retry_count: float | None = None

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Metrics:
        """Take the numbers out of a body's ``metrics``, whatever else is there."""
        raw = body.get("metrics")
        raw = raw if isinstance(raw, Mapping) else {}
        return cls(**{name: number_or_none(raw.get(name)) for name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class SubmittedRequest:
    """One accepted, and therefore paid, request. ``submitted_at``: this machine's clock, epoch seconds."""

    request_id: str
    model: str
    submitted_at: float


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """A look at a request. ``word`` is the service's own status string; ``error`` its text for FAILED."""

    request_id: str
    state: State
    word: str
    error: str | None = None
    metrics: Metrics = field(default_factory=Metrics)


@dataclass(frozen=True, slots=True)
class Output:
    """One finished file. ``url`` may be signed: log it through :func:`without_query` only."""

    url: str = field(repr=False)
    content_type: str | None = None
    file_name: str | None = None
    file_size: int | None = None

    @property
    def signed(self) -> bool:
        """Whether the URL carries a query, which may be a credential."""
        return without_query(self.url) != self.url


@dataclass(frozen=True, slots=True)
class RequestResult:
    """A completed request with its files, the main one first."""

    request_id: str
    outputs: tuple[Output, ...]
    seed: int | None = None
    metrics: Metrics = field(default_factory=Metrics)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON primitives; :meth:`from_json` is its inverse."""
        return asdict(self)

    def without_queries(self) -> RequestResult:
        """The same with URLs that may be shown, and perhaps not fetched."""
        return replace(self, outputs=tuple(replace(out, url=without_query(out.url)) for out in self.outputs))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RequestResult:
        """Rebuild from :meth:`to_json`; keys of a newer version are ignored."""
        known_output = Output.__dataclass_fields__
        known_metrics = Metrics.__dataclass_fields__
        return cls(
            request_id=str(data["request_id"]),
            outputs=tuple(
                Output(**{k: v for k, v in output.items() if k in known_output}) for output in data["outputs"]
            ),
            seed=data.get("seed"),
            metrics=Metrics(**{k: v for k, v in (data.get("metrics") or {}).items() if k in known_metrics}),
        )


@dataclass(frozen=True, slots=True)
class Credits:
    """The balance of the key's workspace, in US dollars."""

    credits: float
    free_credits: float | None = None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One request as the account's request history tells it, whatever its age. Any of it but the id may be
    missing: a row comes into being shortly after its request, and its fields one after another.

    :param state: ``PROCESSING`` stands for the history's PENDING, which is queued or running.
    :param word: The service's own status string; empty if it gave none.
    :param cost: US dollars for the whole request, however many outputs it has.
    :param parameters: The inputs as they were sent; URLs in it may be signed.
    :param latency: Seconds.
    :param created_at: Epoch seconds by the service's clock; so is ``updated_at``.
    :param error: The service's own words for a failure.
    """

    request_id: str
    model: str | None = None
    state: State = State.UNKNOWN
    word: str = ""
    cost: float | None = None
    parameters: Mapping[str, Any] | None = field(default=None, repr=False)
    outputs: tuple[Output, ...] = ()
    latency: float | None = None
    created_at: float | None = None
    updated_at: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """One page of the request history, newest first.

    :param entries: One for each request id. A request of several outputs has a row for each, so a page can
        have fewer entries than rows, and such a request can stand on two pages.
    :param rows: How many rows the service sent.
    :param skipped: Rows among them that name no request id; what they stand for is not known.
    """

    entries: tuple[HistoryEntry, ...]
    page: int
    per_page: int
    rows: int = 0
    skipped: int = 0

    @property
    def last(self) -> bool:
        """Whether no page comes after this one."""
        return self.rows < self.per_page


@dataclass(frozen=True, slots=True)
class SyncResult:
    """A file made by one synchronous call, on this machine's disk.

    :param size: Bytes. ``sha256`` is hex.
    :param content_type: Media type, None if neither the service nor the file's first bytes tell it.
    :param cost: US dollars; so are ``remaining_credits``.
    :param generation_time: Seconds.
    """

    path: Path
    size: int
    sha256: str
    content_type: str | None = None
    request_id: str | None = None
    cost: float | None = None
    remaining_credits: float | None = None
    generation_time: float | None = None
    seed: int | None = None
