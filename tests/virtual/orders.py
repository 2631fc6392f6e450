"""What the tasks of a world ask for, on which terms, and what was bought of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from airflow_ltx.durability.fingerprint import marks
from airflow_ltx.durability.record import Purchase as Recorded
from airflow_ltx.durability.record import Record
from airflow_ltx.emulator.ledger import Submission
from tests.virtual.service import AT_A_COST
from tests.virtual.tasks import Task

PROMPTS = tuple(
    f"Scene {number}: a lighthouse on a cliff at dusk, waves breaking far below, slow aerial shot moving "
    "towards the lantern as it lights up, warm light against a deep blue sky, cinematic, fine grain"
    for number in range(3)
)


@dataclass(frozen=True)
class Order:
    """What an author asks for. Two that are equal are the same purchase."""

    scene: int = 0
    image: int | None = None
    seed: int | None = None

    def parameters(self, signature: int) -> dict[str, Any]:
        """As they are written; ``signature`` is of the link to the image."""
        chosen: dict[str, Any] = {"prompt": PROMPTS[self.scene]}
        if self.image is not None:
            chosen["image"] = f"https://images.test/{self.image}.png?signature={signature}"
        if self.seed is not None:
            chosen["seed"] = self.seed
        return chosen

    def fits(self, body: dict[str, Any]) -> bool:
        """Whether this is what ``body`` asks for."""
        asked = self.parameters(0)
        return all(
            str(body.get(name)).partition("?")[0] == str(asked.get(name)).partition("?")[0]
            for name in ("prompt", "image", *(("seed",) if self.seed is not None else ()))
        )


@dataclass(eq=False)
class Purchase:
    """An accepted submit, and whose it is.

    :param fingerprint: As the intent was recorded with, where anything is.
    :param intent_at: When that was.
    :param given_up: Its author asked for another one in its place.
    :param superseded: Its task has bought another one in its place, or is about to.
    """

    task: Task
    order: Order
    submission: Submission
    fingerprint: str
    try_number: int
    intent_at: float
    given_up: bool = False
    superseded: bool = False

    @property
    def request_id(self) -> str:
        """The service's name of it."""
        assert self.submission.request_id is not None
        return self.submission.request_id

    @property
    def charged(self) -> bool:
        """Whether it fails, and is billed all the same."""
        job = self.submission.job
        return job is not None and AT_A_COST in (job.error or "")

    def is_named_in(self, record: Record) -> bool:
        """Whether it is what a record has of its fingerprint, with or without its id."""
        known = record.of(self.fingerprint)
        if known is None or known.request_id == self.request_id:
            return known is not None
        return (known.intent_at, dict(known.marks)) == (self.intent_at, marks(self.submission.body or {}))

    def stands_in(self, record: Record) -> bool:
        """Whether it is what a record has of its fingerprint, and not as what another submit has bought."""
        known = record.of(self.fingerprint)
        return known is not None and known.intent_at == self.intent_at and self.is_named_in(record)

    def replaced_in(self, record: Record) -> Iterator[Recorded]:
        """What its task has bought in its place, or is about to."""
        known = record.of(self.fingerprint)
        if known is not None and known.intent_at >= self.intent_at and not self.is_named_in(record):
            yield known


@dataclass(frozen=True)
class Terms:
    """What of a task's arguments decides whether it may buy.

    :param memory: There is a place that outlives a try.
    :param drawn_seeds: A seed is drawn where the author gives none.
    """

    memory: bool
    drawn_seeds: bool
    timeout: float
    on_orphaned_intent: str
    on_clear: str
    on_stale_state: str
