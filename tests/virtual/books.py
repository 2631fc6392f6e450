"""The books of a world: who bought what, by the emulator's ledger, and what must hold at any time."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_ltx.durability.fingerprint import marks
from airflow_ltx.durability.record import Phase, Record
from airflow_ltx.emulator.ledger import Submission
from tests.virtual.clock import VirtualClock
from tests.virtual.orders import Order, Purchase, Terms
from tests.virtual.processes import errand
from tests.virtual.service import VirtualService, content
from tests.virtual.tasks import Errand, State, Task


@dataclass(frozen=True)
class _Note:
    task: Task
    order: Order
    fingerprint: str
    try_number: int
    intent_at: float


class Books:
    """Kept by somebody who sees everything and is asked nothing.

    :param folder: Where files land.
    :param told: All lines of all logs.
    """

    def __init__(
        self,
        clock: VirtualClock,
        service: VirtualService,
        tasks: list[Task],
        folder: Path,
        told: list[str],
        terms: Terms,
    ) -> None:
        self.purchases: list[Purchase] = []
        self.terms = terms
        self._wrong: list[str] = []
        self._clock = clock
        self._ledger = service.core.ledger
        self._tasks = tasks
        self._folder = folder
        self._told = told
        self._given_up_tries: dict[Task, int] = {}
        self._judged: list[tuple[Task, float, dict[str, str]]] = []
        self._last_search: defaultdict[Task, set[str] | None] = defaultdict(set)
        service.on_sent = self._sent
        service.on_accepted = self._accepted
        service.on_history = self._searched
        service.on_gone = self._gone
        self._told_gone: defaultdict[Task, set[str]] = defaultdict(set)
        self._gone_before_clear: defaultdict[Task, set[str]] = defaultdict(set)
        self._gone_for_good: defaultdict[Task, set[str]] = defaultdict(set)

    def of(self, task: Task, order: Order) -> list[Purchase]:
        """What was bought of an order for a task, has not failed, and was not given up."""
        return [
            purchase
            for purchase in self.purchases
            if purchase.task is task
            and purchase.order == order
            and self._may_be_collected(purchase)
            and not purchase.superseded
        ]

    def collectable(self, task: Task, order: Order) -> set[str]:
        """Ids of what was bought, will not fail, and can be found again by what is on record."""
        if not self.terms.memory:
            return set()
        now = self._record(task)
        recorded = {bought.request_id for record in self._records(task) for bought in record.purchases}
        return {
            purchase.request_id
            for purchase in self.of(task, order)
            if purchase.submission.job is not None
            and purchase.submission.job.error is None
            and (purchase.request_id in recorded or self._unmistakable(purchase))
            # What was said to be gone before and after a clear may be left behind.
            and (purchase.request_id not in self._gone_for_good[task] or purchase.is_named_in(now))
        }

    def cleared(self, task: Task) -> None:
        """A person cleared a task."""
        self._gone_before_clear[task] |= self._told_gone.pop(task, set())
        for purchase in self.purchases:
            # Nothing can be collected of it, and a person may have another one bought.
            purchase.given_up = purchase.given_up or (purchase.task is task and purchase.charged)
        if self.terms.on_clear == "regenerate":
            self._given_up_tries[task] = task.tries
            for purchase in self.purchases:
                purchase.given_up = purchase.given_up or purchase.task is task

    def heed(self, task: Task) -> None:
        """Judge what a task is about to buy, as soon as that is on record: it may be sent later, or never."""
        record = self._record(task)
        for earlier in self.purchases:
            if earlier.task is not task:
                continue
            if earlier.stands_in(record):
                # What was to be bought in its place was refused.
                earlier.superseded = False
            for instead in earlier.replaced_in(record):
                if not earlier.superseded and self._may_be_collected(earlier):
                    self._wrong += self._objections(earlier, instead.intent_at)
                earlier.superseded = True
        intent = record.current
        if intent is None or intent.phase is not Phase.INTENT or self.terms.on_stale_state != "fail":
            return
        decided = (task, intent.intent_at, dict(intent.marks))
        if decided not in self._judged:
            self._judged.append(decided)
            self._wrong += self._left_behind(task, intent.fingerprint)

    def check(self) -> None:
        """Nothing paid twice, no green task without its bytes, no lost id."""
        assert not self._wrong, self._wrong[0]
        for task in self._tasks:
            if task.state is State.SUCCESS:
                self._check_file(task)
        for purchase in self.purchases:
            billed = purchase.submission.outcome(self._clock.now) != "FAILED"
            if self.terms.memory and billed and not purchase.given_up and not self._look_alikes(purchase):
                known = self.is_known(purchase) or purchase.superseded
                assert known, f"{purchase.request_id} of {purchase.task.name} is lost"

    def is_known(self, purchase: Purchase) -> bool:
        """Whether somebody can still find out which request it was: by its id, or by a search for it."""
        if any(purchase.request_id in text for text in self._everything_kept()):
            return True
        return any(
            bought.phase is Phase.INTENT and bought.intent_at == purchase.intent_at
            for record in self._records(purchase.task)
            for bought in record.purchases
        )

    def check_end(self, task: Task) -> None:
        """What a task that will not be retried leaves behind."""
        if self.terms.on_stale_state == "resubmit":
            left = self.collectable(task, task.orders[-1]) - self._told_gone[task]
            left -= self._gone_before_clear[task]
            assert not left, f"{task.name} was given up for good, and left {left} behind"

    def check_return_value(self, task: Task) -> None:
        """What a task that has just become green returned."""
        result = task.result
        submission = self._ledger.of(result["request_id"])
        assert submission.job is not None
        assert submission.body is not None
        assert any(order.fits(submission.body) for order in task.orders), "it is another prompt's"
        # Each is there unless it was refused.
        for key in ("request_id", "output_url"):
            assert task.xcom.get(key, result[key]) == result[key]
        (bought,) = [p for p in self.purchases if p.submission is submission]
        assert bought.task is task or not self._unmistakable(bought), f"it is {bought.task.name}'s"
        if bought.task is task and not bought.given_up and not bought.superseded:
            assert result["reused"] is (bought.try_number != task.tries)
        if not task.operator.wait_for_completion:
            assert (result["status"], result["uri"]) == ("QUEUED", None)
            return
        assert submission.outcome(self._clock.now) == "COMPLETED"
        assert result["status"] == "COMPLETED"
        if result["output_url"] is None:
            # All that is left is the file, which a try put there that died before it could note that.
            assert result["uri"] is not None
            assert self._clock.now >= submission.time + 3600
        else:
            assert result["output_url"].endswith(submission.job.video.file_name)
        # A row of the history tells no seed; the record has what was drawn, the task what was given. Without
        # a record only the trigger could say that what the task gives is what it gave.
        drawn = self.terms.drawn_seeds and bought.order.seed is None
        given = self.terms.drawn_seeds and bought.order == task.orders[-1] and not drawn
        known = (self.terms.memory and (drawn or given)) or self._clock.now < submission.time + 3600
        assert result["seed"] == submission.job.seed or (result["seed"] is None and not known)
        self._check_file(task)

    def _unmistakable(self, purchase: Purchase) -> bool:
        """Whether no other request can have its body."""
        return self.terms.drawn_seeds and purchase.order.seed is None

    def _took_for(self, late: Purchase, other: Purchase) -> bool:
        """Whether a request that has not arrived yet could not be told from another one that failed."""
        apart = other.submission.time - late.intent_at
        failed = other.submission.outcome(self._clock.now) == "FAILED"
        return failed and not self._unmistakable(late) and -5 <= apart <= 300

    def _look_alikes(self, purchase: Purchase) -> list[Purchase]:
        """Others' purchases of the same, and what was given up: a task whose own answer was lost may have
        taken up one of them."""
        return [
            other
            for other in self.purchases
            if other is not purchase
            and other.submission.body == purchase.submission.body
            and (other.task is not purchase.task or other.given_up or self._taken_for(other, purchase))
        ]

    def _taken_for(self, other: Purchase, purchase: Purchase) -> bool:
        """Whether a task may have taken one of its requests for another one: that it had given up, and that
        did not fail, or that is on record as the other one."""
        taken = any(
            (bought.request_id, bought.intent_at) == (other.request_id, purchase.intent_at)
            for record in self._records(purchase.task)
            for bought in record.purchases
        )
        return taken or (other.superseded and self._may_be_collected(other))

    def _check_file(self, task: Task) -> None:
        result = task.result
        if task.operator.destination is None:
            assert result["uri"] is None
            return
        job = self._ledger.of(result["request_id"]).job
        assert job is not None
        landed = Path(result["uri"].removeprefix("file://")).read_bytes()
        assert landed == content(job.video), f"{result['uri']} does not hold the video of {job.request_id}"
        assert result["bytes"] == len(landed)
        assert result["sha256"] == hashlib.sha256(landed).hexdigest()

    def _sent(self, body: dict[str, Any]) -> _Note:
        about = errand()
        assert isinstance(about, Errand)
        task = about.task
        order = next((order for order in reversed(about.orders) if order.fits(body)), None)
        if order is None:
            self._wrong.append(f"{task.name} asks for what its author did not: {body}")
            order = about.orders[-1]
        if not self.terms.memory:
            return _Note(task, order, "", about.try_number, 0.0)
        self.heed(task)
        intent = self._record(task).current
        if intent is None or intent.phase is not Phase.INTENT:
            # Raised here, it would be taken for a broken connection.
            self._wrong.append(f"{task.name} buys without a record of its intent")
            return _Note(task, order, "", about.try_number, 0.0)
        if dict(intent.marks) != marks(body):
            self._wrong.append(f"{task.name} sends something else than it has put on record")
        for beside in self.of(task, order):
            self._wrong.append(f"{task.name} buys beside {beside.request_id}, and has not put that on record")
        return _Note(task, order, intent.fingerprint, about.try_number, intent.intent_at)

    def _may_be_collected(self, purchase: Purchase) -> bool:
        failed = purchase.submission.outcome(self._clock.now) == "FAILED" and not purchase.charged
        return not failed and not purchase.given_up

    def _left_behind(self, task: Task, fingerprint: str) -> Iterator[str]:
        """What an author who forbade it would be angry about."""
        wanted = [
            purchase
            for purchase in self.purchases
            if purchase.task is task and not purchase.given_up and not purchase.superseded
        ]
        for latest in wanted[-1:]:
            outcome = latest.submission.outcome(self._clock.now)
            recorded = [bought for record in self._records(task) for bought in record.purchases]
            # Of these the task came to an end that only a person undoes, who may have changed the parameters.
            over = {bought.request_id for bought in recorded if bought.phase in (Phase.LANDED, Phase.LOST)}
            over |= self._gone_for_good[task]
            taken = {latest.request_id}
            if not self._unmistakable(latest):
                taken |= {other.request_id for other in self._look_alikes(latest)}
            if latest.fingerprint != fingerprint and outcome != "FAILED" and not taken & over:
                yield f"{task.name} leaves {latest.request_id} behind, which is {outcome}"

    def _accepted(self, submission: Submission, note: _Note) -> None:
        new = Purchase(note.task, note.order, submission, note.fingerprint, note.try_number, note.intent_at)
        # It may have been under way for longer than its task had patience.
        new.given_up = note.try_number <= self._given_up_tries.get(note.task, 0)
        new.superseded = any(new.replaced_in(self._record(note.task)))
        if not new.given_up and new.superseded:
            mistaken = any(self._took_for(new, other) for other in self._look_alikes(new))
            if self.terms.on_orphaned_intent != "resubmit" and not mistaken:
                self._wrong.append(f"{note.task.name} buys another one while {new.request_id} is under way")
        self.purchases.append(new)

    def _objections(self, earlier: Purchase, intent_at: float) -> Iterator[str]:
        """Why nothing may be bought beside an earlier purchase; nothing if its author has asked for that."""
        outcome = earlier.submission.outcome(self._clock.now)
        wrong = f"{earlier.task.name} buys beside {earlier.request_id}, which is {outcome}"
        seen = self._last_search[earlier.task]
        if earlier.request_id in self._told_gone[earlier.task] & self._gone_before_clear[earlier.task]:
            # It was said to be gone, a person cleared the task, and it is still said to be gone.
            return
        if self.terms.on_orphaned_intent != "resubmit":
            yield wrong
        elif intent_at < earlier.intent_at + self.terms.timeout:
            yield f"{wrong}, before it was looked for to the end"
        elif any(earlier.request_id in text for text in self._what_tasks_can_read()):
            yield f"{wrong}, and whose id was known"
        elif seen is None:
            yield f"{wrong}, and the history could not be read"
        elif earlier.request_id in seen:
            yield f"{wrong}, and was in the history"

    def _gone(self, request_id: str) -> None:
        task = errand().task
        self._told_gone[task].add(request_id)
        if request_id in self._gone_before_clear[task]:
            # A person's clear does not make it be there again, and what the task has is another video.
            self._gone_for_good[task].add(request_id)

    def _searched(self, rows: list[dict[str, Any]] | None) -> None:
        told = None if rows is None else {row["request_id"] for row in rows}
        self._last_search[errand().task] = told

    def _record(self, task: Task) -> Record:
        """As the task will read it."""
        return max(self._records(task), key=lambda record: record.revision, default=Record())

    def _records(self, task: Task) -> Iterator[Record]:
        kept: list[Any] = []
        if task.kept is not None:
            kept += [json.loads(text) for text in task.kept.values.values()]
        for file in self._folder.rglob(f"_segmind/*.{task.index}.*.json"):
            kept.append(json.loads(file.read_text()))
        for told in kept:
            record = Record.from_json(told)
            assert record is not None, f"no record: {told}"
            yield record

    def _everything_kept(self) -> Iterator[str]:
        yield from self._told
        yield from self._what_tasks_can_read()

    def _what_tasks_can_read(self) -> Iterator[str]:
        for task in self._tasks:
            yield from map(str, task.xcom.values())
            if task.kept is not None:
                yield from task.kept.values.values()
        for file in self._folder.rglob("_segmind/*.json"):
            yield file.read_text()
