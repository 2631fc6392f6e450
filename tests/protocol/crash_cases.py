"""Which tasks die where, and what must be true of them afterwards."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from crash_legs import kept
from crash_points import Target, name_of
from crash_tasks import Task

from airflow_ltx.emulator.ledger import Submission
from segmind_service import KEY

_AS_CHANCE_WILL = {
    "the download: a piece is read": 3,
    "the video's temporary file: write": 3,
    # How often a history that tells nothing is read depends on the time that each reading takes.
    "the history: nothing is sent": 3,
    "the history: its answer is read": 3,
    "a pause of look_up": 3,
    "a pause of alook_up": 3,
}
"""Of steps that come more or less often, those that always come in a task's first leg."""

_AFTER_A_LOOK = {"the history: nothing is sent": 2, "the history: its answer is read": 2}
"""In later legs: the first one has looked once, and so a silence of two looks ends a look sooner."""


_CHANGES = tuple(
    f": {verb}, after"
    for verb in (
        "set",
        "push",
        "handed over",
        "make",
        "open",
        "lock",
        "write",
        "rename",
        "link",
        "remove",
        "writing",
    )
)


_AFTER_THE_SUBMIT = (
    "an XCom",
    "the deferral",
    "a pause",
    "the status",
    "the result",
    "the download",
    "the store's video",
    "the return",
)
_ENDED = "The task was ended while|ended the task while its submit"


@dataclass(frozen=True)
class Kind:
    """A kind of task: what is bought, whether and where it waits, and what remembers it.

    :param remote: Its destination is object storage, where the triggerer lands.
    """

    operator: str = "ltx"
    deferrable: bool = True
    lands: bool = True
    task_state: bool = True
    policy: str = "fail"
    waits: bool = True
    remote: bool = False

    @property
    def remembered(self) -> bool:
        return self.lands or self.task_state

    def __str__(self) -> str:
        file = "object" if self.remote else "file"
        places = [name for name, there in ((file, self.lands), ("state", self.task_state)) if there]
        where = ("deferred" if self.deferrable else "waiting") if self.waits else "submitted"
        return f"{self.operator}-{where}-{'+'.join(places) or 'nowhere'}-{self.policy}"

    def arguments(self, prompt: str, destination: str) -> dict[str, Any]:
        """The operator's. ``destination``: the folder's URI."""
        what: dict[str, Any] = (
            {"prompt": prompt}
            if self.operator == "ltx"
            else {"model": "wan-2.2-t2v-fast", "parameters": {"prompt": prompt}}
        )
        where = {"destination": f"{destination}/"} if self.lands else {}
        return {
            **what,
            **where,
            "poll_interval": 0.05,
            "timeout": 60,
            "deferrable": self.deferrable,
            "wait_for_completion": self.waits,
            "on_orphaned_intent": self.policy,
        }

    @staticmethod
    def prompt(arguments: Mapping[str, Any]) -> str:
        """What tells the requests of one task from all others."""
        return str(arguments["prompt"] if "prompt" in arguments else arguments["parameters"]["prompt"])


@dataclass(frozen=True)
class Case:
    """A task that dies.

    :param deaths: At which step, by the number of the leg among all of the task.
    :param alone: Each leg is a process.
    """

    kind: Kind
    deaths: Mapping[int, Target]
    ending: str = "kill"
    alone: bool = False

    def __str__(self) -> str:
        where = ", then ".join(f"leg {number} at {target!r}" for number, target in self.deaths.items())
        return f"{self.kind}, {self.ending} in {where}"


@dataclass
class Seen:
    """What there was when a task had died, for the last time.

    :param history: ``tells``, is ``silent``, or ``broken``.
    :param answers: Whether the submit is answered.
    :param bought: Ids of requests.
    :param bought_by: The try that bought each, as far as a death showed it.
    :param phases: What was on record.
    :param wrong: What was wrong already then, any time.
    """

    history: str = "tells"
    answers: bool = True
    bought: list[str] = field(default_factory=list)
    bought_by: dict[str, int] = field(default_factory=dict)
    phases: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    @property
    def doomed(self) -> bool:
        """An intent is on record of what was never bought."""
        return not self.bought and self.phases == {"intent"}

    @property
    def untold(self) -> bool:
        """Something was bought that only the history knows, which does not tell."""
        return bool(self.bought) and self.phases == {"intent"} and self.history != "tells"

    def at_death(self, task: Task, bought: list[Submission], films: Mapping[str, str]) -> None:
        self.bought = [str(entry.request_id) for entry in bought]
        for request_id in self.bought:
            self.bought_by.setdefault(request_id, task.tries)
        self.phases = task.phases()
        self.wrong += _partial(task, films)
        if self.doomed or self.untold:
            # The search of the next try ends without a find, and need not last.
            task.arguments["timeout"] = 1.0


def targets(legs: Iterable[Iterable[str]]) -> list[tuple[int, str]]:
    """All steps that come again in the next run, by the number of their leg."""
    return [
        (number, step)
        for number, steps in enumerate(legs)
        for step in steps
        if int(step.rpartition("#")[2]) <= _often(number, name_of(step).partition(", ")[0])
    ]


def _often(leg: int, name: str) -> int:
    caps = _AS_CHANCE_WILL | (_AFTER_A_LOOK if leg else {})
    return caps.get(name, 99)


def telling(found: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Those before which something changed outside of the process, and those of the submit: to a kill all
    others are like the step before them."""
    kept_ones, changed = [], True
    for number, step in found:
        name = name_of(step)
        if changed or name.startswith("the submit"):
            kept_ones.append((number, step))
        changed = name.endswith(_CHANGES)
    return kept_ones


def wrong(
    case: Case, seen: Seen, task: Task, purchases: list[Submission], films: Mapping[str, str]
) -> Iterator[str]:
    """What is wrong with a case that is over."""
    ids = [str(entry.request_id) for entry in purchases]
    yield from seen.wrong
    yield from (f"{what} is no step" for what in task.uncounted)
    yield from _partial(task, films)
    if KEY in task.log or any(
        KEY in text for text in (*(path.read_text() for path in task.home.glob("*.json")), *task.records())
    ):
        yield "the key is written somewhere"
    if any(entry.downloads_with_key for entry in purchases):
        yield "the file host saw the key"
    yield from _untold_end(case, seen, task)
    if seen.answers and _after_the_submit(case) and case.kind.remembered and seen.phases == {"intent"}:
        yield "the answer to the submit was not recorded"
    end = _expected(case, seen, task)
    if end.green != (task.result is not None):
        yield f"{end.why}: {'not ' if end.green else ''}green after {task.tries} tries: {task.failure}"
    if len(ids) != end.purchases:
        yield f"{end.why}: {len(ids)} purchases, not {end.purchases}"
    for text in end.told:
        if text not in task.log:
            yield f"{end.why}: the log does not say {text!r}"
    if task.result is not None:
        yield from _wrong_result(case, seen, task, ids, films)


def _after_the_submit(case: Case) -> bool:
    ((leg, target), *_) = case.deaths.items()
    return len(case.deaths) == 1 and (leg > 0 or str(target).startswith(_AFTER_THE_SUBMIT))


def _untold_end(case: Case, seen: Seen, task: Task) -> Iterator[str]:
    """A leg that Airflow ends says what becomes of the request, once it knows of one."""
    step = str(list(case.deaths.values())[-1])
    knows = seen.bought and "handed over" not in step and not step.startswith("the task state: get")
    if case.ending == "AirflowTaskTimeout" and knows and not re.search(_ENDED, task.log):
        yield "the log does not say what becomes of the request"


def _partial(task: Task, films: Mapping[str, str]) -> Iterator[str]:
    for name, content in task.visible().items():
        if films.get(name.removesuffix(".mp4")) != hashlib.sha256(content).hexdigest():
            yield f"{name} is not the film"


def _wrong_result(
    case: Case, seen: Seen, task: Task, ids: list[str], films: Mapping[str, str]
) -> Iterator[str]:
    result = task.result or {}
    request_id = result["request_id"]
    if request_id not in ids or result["status"] != ("COMPLETED" if case.kind.waits else "QUEUED"):
        yield f"green with {request_id} {result['status']}, bought were {ids}"
    if case.kind.lands:
        landed, there = f"{request_id}.mp4", sorted(task.visible())
        if there != [landed] or result["uri"] != f"{task.destination}/{landed}":
            yield f"landed were {there}, told is {result['uri']}"
        if result["sha256"] != films[request_id]:
            yield "the file that is told is another one"
    elif case.kind.waits and not result["output_url"]:
        yield "green without a file and without its URL"
    if kept(task.places.xcoms, {}).get("request_id") != request_id:
        yield "its XCom does not name the request"
    # A leg that died when it had handed its result over was the last one.
    earlier = seen.bought_by.get(request_id, task.tries) < task.tries
    if (earlier and not result["reused"]) or (task.tries == 1 and result["reused"]):
        yield f"reused is {result['reused']} after {task.tries} tries"


@dataclass(frozen=True)
class End:
    """How a task must end. ``told``: what its log must say."""

    why: str
    green: bool
    purchases: int
    told: tuple[str, ...] = ()


def _expected(case: Case, seen: Seen, task: Task) -> End:
    if not case.kind.remembered:
        return _expected_of_the_forgotten(case, seen, task)
    resubmit = case.kind.policy == "resubmit"
    asked = "on_orphaned_intent is 'resubmit': another one is bought. If the first one exists after all"
    advice = "A request may exist and be billed; nothing was bought in its place"
    told = (asked,) if resubmit else (advice, "no request with the same body was made then")
    if seen.history == "broken" and (seen.doomed or seen.untold):
        return End(
            "nobody can look", False, len(seen.bought), (advice, "the account's history could not be read")
        )
    if seen.doomed:
        return End("died before the service had the submit", resubmit, int(resubmit), told)
    if seen.untold:
        return End("bought, and neither record nor history tell", resubmit, 1 + resubmit, told)
    if seen.bought and seen.phases == {"intent"}:
        return End("bought, and the history tells", True, 1, (f"Found request {seen.bought[0]}",))
    return End("on record, or not begun", True, 1)


def _expected_of_the_forgotten(case: Case, seen: Seen, task: Task) -> End:
    """Nothing outlives a try but its log."""
    ((leg, target),) = case.deaths.items()
    step = str(target)
    unanswered = leg == 0 and step.startswith("the submit")
    submitting = unanswered or (leg == 0 and step in ("an XCom: push, before #1", "an XCom: push, after #1"))
    known = () if unanswered or not seen.bought else (f"Bought request {seen.bought[0]}",)
    if submitting and case.ending != "kill":
        # What may have been bought is not bought again by a retry that knows nothing of it.
        told = ("may exist and be billed", "The task is not retried")
        return End("ended within the submit", False, len(seen.bought), (*known, *told))
    if not seen.bought or task.tries == 1:
        return End("not bought, or the same try goes on", True, 1)
    told = () if submitting else ("a retry buys a new request. Collect this one with",)
    return End("forgotten with its try", True, 2, (*known, *told))
