"""The record of one task instance: what was bought for it, as a value that outlives tries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self

from airflow_ltx.exceptions import InvalidParameter
from airflow_ltx.segmind.models import SubmittedRequest
from airflow_ltx.segmind.numbers import integer_or_none, number_or_none
from airflow_ltx.segmind.protocol import bare_id, check_request_id

VERSION = 1

MOST = 20
"""Purchases that a record remembers. More are left by nothing but parameters that differ on every try."""


class Phase(StrEnum):
    """How far a purchase has come."""

    INTENT = "intent"
    """About to be sent, or sent and its answer lost."""
    SUBMITTED = "submitted"
    """Bought, and not collected."""
    FAILED = "failed"
    """Ended as FAILED, or was refused: not billed, nothing is outstanding."""
    LOST = "lost"
    """Billed, and nothing can be collected: failed at a cost, or forgotten by the service."""
    LANDED = "landed"
    """Collected: the task has its return value, and the destination its file."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """One request, from the intent to buy it. Holds no prompt and no key.

    :param fingerprint: Of the model and the author's parameters, before a seed was drawn.
    :param intent_at: Epoch seconds just before the submit.
    :param marks: Digests of the parameters that were sent, by name, to know the request again.
    :param seeded: A seed was sent: whatever has the same body is the same video.
    :param seed: The seed that was drawn for it; None if the author gave one, or the model takes none.
    :param made: Hashes of files that the task instance made before, by which it knows them as its own.
    :param request_id: None for an intent, and for what was refused.
    :param named: The id that a broken answer to its submit named, before it was known whether it is one.
    :param sought: A search has found it.
    :param others: Ids of earlier requests of the task instance, which it is not, should it have to be found.
    :param try_number: The try that bought it.
    :param cost: What it cost, as far as the service has told.
    :param result: Of a landed one, the task's return value, its URLs without their queries; None if only a
        URL that must not be kept would tell where the file is.
    :param instead_of: A landed one of the same parameters, in place of which a person had this one bought: it
        counts again should this one come to nothing.
    """

    phase: Phase
    fingerprint: str
    model: str
    intent_at: float
    marks: Mapping[str, str]
    seeded: bool = False
    seed: int | None = None
    others: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    request_id: str | None = None
    named: str | None = None
    sought: bool = False
    submitted_at: float | None = None
    try_number: int | None = None
    cost: float | None = None
    result: Mapping[str, Any] | None = None
    instead_of: Purchase | None = None

    @property
    def outstanding(self) -> bool:
        """Whether there is, or may be, something at the service that was paid for and nobody has."""
        return self.phase in (Phase.INTENT, Phase.SUBMITTED)

    @property
    def doubtful(self) -> bool:
        """Whether another request that fits as well would do: of the same body with an author's seed, nobody
        can tell which one was this."""
        return self.sought and self.seeded and self.seed is None

    @property
    def request(self) -> SubmittedRequest:
        """What was bought. Only of a purchase with an id."""
        if self.request_id is None:
            raise ValueError(f"{self.phase} names no request")
        at = self.intent_at if self.submitted_at is None else self.submitted_at
        return SubmittedRequest(self.request_id, self.model, at)

    @property
    def name(self) -> str:
        """For a sentence."""
        return f"request {self.request_id}" if self.request_id else "a request whose answer was lost"

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON primitives."""
        return asdict(replace(self, instead_of=None)) | {
            "phase": self.phase.value,
            "others": list(self.others),
            "made": list(self.made),
            "instead_of": None if self.instead_of is None else self.instead_of.to_json(),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Read one; raises whatever it stumbles over."""
        marks, result, request_id = told["marks"], told.get("result"), told.get("request_id")
        before, named = told.get("instead_of"), told.get("named")
        purchase = cls(
            phase=Phase(told["phase"]),
            fingerprint=_text(told["fingerprint"]),
            model=_text(told["model"]),
            intent_at=_moment(told["intent_at"]),
            marks={_text(name): _text(mark) for name, mark in marks.items()},
            seeded=told.get("seeded") is True,
            seed=integer_or_none(told.get("seed")),
            others=tuple(check_request_id(other) for other in told.get("others") or ()),
            made=tuple(_text(sha256) for sha256 in told.get("made") or ()),
            request_id=None if request_id is None else check_request_id(_text(request_id)),
            named=None if named is None else check_request_id(named),
            sought=told.get("sought") is True,
            submitted_at=number_or_none(told.get("submitted_at")),
            try_number=integer_or_none(told.get("try_number")),
            cost=number_or_none(told.get("cost")),
            result=dict(result) if isinstance(result, Mapping) else None,
            instead_of=None if before is None else cls.from_json(before),
        )
        bought = purchase.request_id is not None and purchase.submitted_at is not None
        if not bought and purchase.phase not in (Phase.INTENT, Phase.FAILED):
            raise ValueError(told)
        return purchase


@dataclass(frozen=True, slots=True)
class Record:
    """What was bought for a task instance, the latest last; one purchase for each fingerprint.

    :param max_tries: The task instance's ``max_tries`` when this was written; another number now means that a
        person cleared the task since.
    :param revision: Counts the writes, so that of two copies the later one is known.
    :param refused_since: Epoch seconds since which a rate limit refuses the submit that the task came for;
        what is current is another purchase then. None once anything was dealt with since.
    """

    purchases: tuple[Purchase, ...] = ()
    max_tries: int | None = None
    revision: int = 0
    refused_since: float | None = None

    @property
    def current(self) -> Purchase | None:
        """The purchase that was dealt with last."""
        return self.purchases[-1] if self.purchases else None

    def of(self, fingerprint: str) -> Purchase | None:
        """The purchase of a fingerprint."""
        return next((p for p in self.purchases if p.fingerprint == fingerprint), None)

    def landed(self, fingerprint: str) -> Purchase | None:
        """The latest purchase of a fingerprint of which a file is known, whatever came after it."""
        latest = self.of(fingerprint)
        if latest is None or latest.result is None:
            return None if latest is None else latest.instead_of
        return replace(latest, phase=Phase.LANDED, instead_of=None)

    @property
    def ids(self) -> tuple[str, ...]:
        """Of all requests of the task instance that are remembered, the latest last."""
        told = [name for p in self.purchases for name in (*p.others, p.request_id) if name is not None]
        return tuple(dict.fromkeys(told))

    def knows(self, request_id: str) -> bool:
        """Whether it is one of :attr:`ids`."""
        return bare_id(request_id) in map(bare_id, self.ids)

    @property
    def made(self) -> tuple[str, ...]:
        """Hashes of the files that the task instance made, as far as they are remembered, the latest last."""
        told = [sha256 for p in self.purchases for sha256 in (*p.made, *_hashes(p.result or {}))]
        return tuple(dict.fromkeys(told))

    def updated(self, purchase: Purchase, max_tries: int | None) -> Record:
        """The record with ``purchase`` as the current one, in place of an earlier one of its fingerprint."""
        others = tuple(p for p in self.purchases if p.fingerprint != purchase.fingerprint)
        return replace(
            self,
            purchases=(*others, purchase)[-MOST:],
            max_tries=max_tries,
            revision=self.revision + 1,
            refused_since=None,
        )

    def with_refused(self, purchase: Purchase) -> Record:
        """The record with a purchase that came to nothing; the current one stays the current one."""
        return replace(self, purchases=(*self.purchases[:-1], purchase, *self.purchases[-1:])[-MOST:])

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON primitives."""
        return {
            "version": VERSION,
            "max_tries": self.max_tries,
            "revision": self.revision,
            "refused_since": self.refused_since,
            "purchases": [purchase.to_json() for purchase in self.purchases],
        }

    @classmethod
    def from_json(cls, data: Any) -> Self | None:
        """Read :meth:`to_json`'s dict; None if it is something else."""
        try:
            if data["version"] != VERSION:
                return None
            return cls(
                tuple(Purchase.from_json(told) for told in data["purchases"]),
                integer_or_none(data["max_tries"]),
                int(data["revision"]),
                number_or_none(data.get("refused_since")),
            )
        except (AttributeError, KeyError, TypeError, ValueError, InvalidParameter):
            return None


def later(one: Record, other: Record) -> Record:
    """Which of two copies of a record was written last: a store may have missed a write."""
    return one if one.revision > other.revision else other


def _hashes(result: Mapping[str, Any]) -> list[str]:
    files = (result, *(result.get("files") or ()))
    return [str(file["sha256"]) for file in files if isinstance(file, Mapping) and file.get("sha256")]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _moment(value: Any) -> float:
    moment = number_or_none(value)
    if moment is None or isinstance(value, str):
        raise TypeError(value)
    return moment
