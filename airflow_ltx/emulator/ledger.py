"""The emulator's book: who submitted what, what was bought, what was looked at, which answers were lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_ltx.emulator.assets import Asset
from airflow_ltx.emulator.jobs import Job
from airflow_ltx.emulator.pricing import to_credits

_POLLS_REMEMBERED = 100


@dataclass(slots=True)
class Submission:
    """One submit that reached the service; ``job`` is None if it was refused.

    :param key: Fingerprint of the API key, empty if none was sent.
    :param body: The decoded object, or None if it was not one.
    :param polls: Status answers given; so are ``results``. A lost answer counts as given.
    :param polled_at: Epoch seconds of the latest of them.
    :param downloads: GETs of the file, ranges included; ``downloads_with_key`` of them carried a credential.
    :param lost_answers: Answers about this request that a fault replaced after the effect.
    """

    time: float
    endpoint: str
    key: str
    model: str
    body: dict[str, Any] | None
    http_status: int
    refusal: str | None = None
    job: Job | None = None
    polls: int = 0
    polled_at: deque[float] = field(default_factory=lambda: deque(maxlen=_POLLS_REMEMBERED))
    results: int = 0
    downloads: int = 0
    downloads_with_key: int = 0
    lost_answers: int = 0

    @property
    def request_id(self) -> str | None:
        return self.job.request_id if self.job else None

    @property
    def accepted(self) -> bool:
        return self.job is not None

    def outcome(self, now: float) -> str:
        """Return the request's status at ``now``, or ``REFUSED``."""
        return self.job.status(now) if self.job else "REFUSED"

    def polled(self, now: float) -> None:
        """Note one look at the request."""
        self.polls += 1
        self.polled_at.append(now)

    def billed(self, now: float) -> int:
        """Return millionths of a credit billed by ``now``."""
        return self.job.price if self.job and self.job.status(now) == "COMPLETED" else 0

    def to_json(self, now: float) -> dict[str, Any]:
        """Return the entry as JSON values, as it stands at ``now``."""
        return {
            "request_id": self.request_id,
            "time": self.time,
            "endpoint": self.endpoint,
            "key": self.key,
            "model": self.model,
            "body": self.body,
            "accepted": self.accepted,
            "http_status": self.http_status,
            "refusal": self.refusal,
            "outcome": self.outcome(now),
            "error": self.job.error if self.job and self.outcome(now) == "FAILED" else None,
            "billed": to_credits(self.billed(now)),
            "polls": self.polls,
            "polled_at": list(self.polled_at),
            "results": self.results,
            "downloads": self.downloads,
            "downloads_with_key": self.downloads_with_key,
            "lost_answers": self.lost_answers,
        }


@dataclass(frozen=True, slots=True)
class FaultEvent:
    """One time that a scripted fault acted."""

    time: float
    endpoint: str
    when: str
    action: str
    request_id: str | None


@dataclass(slots=True)
class Ledger:
    """All entries, oldest first. Methods without ``now`` speak of the present of ``clock``.

    :param lookups: Questions about past requests, by endpoint.
    :param assets: Uploaded files; nobody is billed for them.
    """

    clock: Callable[[], float]
    submissions: list[Submission] = field(default_factory=list)
    faults: list[FaultEvent] = field(default_factory=list)
    rate_limited: dict[str, int] = field(default_factory=dict)
    lookups: dict[str, int] = field(default_factory=dict)
    assets: list[Asset] = field(default_factory=list)
    _by_id: dict[str, Submission] = field(default_factory=dict)

    def add(self, entry: Submission) -> None:
        self.submissions.append(entry)
        if entry.job is not None:
            self._by_id[entry.job.request_id] = entry

    def of(self, request_id: str) -> Submission:
        """Return the entry of an accepted request; ``KeyError`` for any other id."""
        return self._by_id[request_id]

    def count_rate_limited(self, endpoint: str) -> None:
        self.rate_limited[endpoint] = self.rate_limited.get(endpoint, 0) + 1

    def count_lookup(self, endpoint: str) -> None:
        """Count a question about past requests."""
        self.lookups[endpoint] = self.lookups.get(endpoint, 0) + 1

    def count_fault(self, event: FaultEvent) -> None:
        self.faults.append(event)
        if event.when == "after" and event.request_id in self._by_id:
            self._by_id[event.request_id].lost_answers += 1

    def accepted(self) -> list[Submission]:
        """Return the submissions that became requests."""
        return [entry for entry in self.submissions if entry.accepted]

    def purchases(self, now: float | None = None) -> list[Submission]:
        """Return accepted requests that have not failed: what is paid for, or will be."""
        at = self._at(now)
        return [entry for entry in self.accepted() if entry.outcome(at) != "FAILED"]

    def billed_requests(self, now: float | None = None) -> list[str]:
        """Return the ids of completed requests."""
        at = self._at(now)
        return [
            entry.job.request_id
            for entry in self.submissions
            if entry.job and entry.job.status(at) == "COMPLETED"
        ]

    def billed_total(self, now: float | None = None) -> float:
        """Return the credits billed for completed requests."""
        at = self._at(now)
        return to_credits(sum(entry.billed(at) for entry in self.submissions))

    def downloads(self) -> int:
        """Return how often files were fetched."""
        return sum(entry.downloads for entry in self.submissions)

    def downloads_with_key(self) -> int:
        """Return how many fetches of files carried a credential that the file host has no business with."""
        return sum(entry.downloads_with_key for entry in self.submissions)

    def to_json(self, now: float | None = None) -> dict[str, Any]:
        """Return the whole book as JSON values; amounts in credits."""
        at = self._at(now)
        return {
            "time": at,
            "submits": len(self.submissions),
            "accepted": len(self.accepted()),
            "purchases": len(self.purchases(at)),
            "billed": self.billed_total(at),
            "billed_requests": self.billed_requests(at),
            "downloads": self.downloads(),
            "downloads_with_key": self.downloads_with_key(),
            "lookups": dict(self.lookups),
            "uploads": [asset.to_json() for asset in list(self.assets)],
            "rate_limited": dict(self.rate_limited),
            "submissions": [entry.to_json(at) for entry in self.submissions],
            "faults": [
                {
                    "time": event.time,
                    "endpoint": event.endpoint,
                    "when": event.when,
                    "action": event.action,
                    "request_id": event.request_id,
                }
                for event in list(self.faults)
            ],
        }

    def _at(self, now: float | None) -> float:
        return self.clock() if now is None else now
