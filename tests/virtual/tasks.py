"""Task instances of an Airflow in memory, around real operators: tries, deferrals, clears, deaths."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import count
from typing import Any

from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferralTimeout,
    TaskDeferred,
)
from jinja2.sandbox import SandboxedEnvironment

from airflow_ltx.exceptions import SegmindError
from runner import TaskInstance, TaskState, task_state_names
from tests.virtual.processes import Killed, Process, Refusals, acting, running_as

# What a task may end with; anything else is a fault of the code under test.
_EXPECTED = (SegmindError, AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout)


class RememberingEnvironment(SandboxedEnvironment):
    """Compiles each text once: Airflow's would do so at each rendering."""

    @lru_cache(maxsize=1000)  # noqa: B019 - there is one, for ever
    def from_string(self, source: Any, **more: Any) -> Any:
        return super().from_string(source, **more)


_TEMPLATES = RememberingEnvironment()


class State(StrEnum):
    READY = "ready"
    """To be started: a new try, or the leg after a deferral."""
    DEFERRED = "deferred"
    SUCCESS = "success"
    FAILED = "failed"


@dataclass(frozen=True)
class Accident:
    """What befalls a leg at its n-th step; see :class:`Process`. ``clear``: a person clears it meanwhile."""

    step: int
    how: str = "kill"


class SteppedState(TaskState):
    """Task state, each use of which is a step."""

    def get(self, key: str, default: Any = None) -> Any:
        with _step(f"reading the task state {key}"):
            return super().get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        with _step(f"writing the task state {key}"):
            super().set(key, value, retention=retention)

    def delete(self, key: str) -> None:
        with _step(f"deleting the task state {key}"):
            super().delete(key)


class SteppedInstance(TaskInstance):
    """A task instance whose pushes are steps."""

    def xcom_push(self, key: str, value: Any) -> None:
        with _step(f"pushing the XCom {key}"):
            super().xcom_push(key, value)


class _step:
    """A step before and one after, so that a process can die with and without the effect."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        acting().step(self._what)

    def __exit__(self, kind: object, *error: object) -> None:
        if kind is None:
            acting().step(f"having done: {self._what}")


@dataclass(frozen=True)
class Errand:
    """What a process is about: a try of a task. ``orders``: those of its legs, see :class:`Task`."""

    task: Task
    try_number: int
    orders: list[Any]


@dataclass(eq=False)
class Task:
    """One task instance.

    :param build: Makes the operator as the DAG is now, for each leg, and tells what it was made for.
    :param kept: The task state; None for an Airflow that has none.
    :param told: Where lines go that are raised into a log.
    :param refusals: What its workers will find refused.
    :ivar process: Of its latest leg.
    :ivar orders: What the legs of the present try were built for, as ``build`` told.
    """

    index: int
    build: Callable[[int], tuple[Any, Any]]
    kept: SteppedState | None
    retries: int
    told: list[str]
    refusals: Refusals = field(default_factory=Refusals)
    state: State = State.READY
    tries: int = 0
    max_tries: int = 0
    xcom: dict[str, Any] = field(default_factory=dict)
    result: Any = None
    orders: list[Any] = field(default_factory=list)
    operator: Any = None
    process: Process | None = None
    deferral: TaskDeferred | None = None
    trigger: tuple[str, str] | None = None
    number: int = 0
    next: tuple[str, dict[str, Any]] | None = None
    ended_for_good: bool = False
    ever_cleared: bool = False
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.max_tries = self.retries

    @property
    def name(self) -> str:
        """For messages."""
        return f"task {self.index}"

    @property
    def between_tries(self) -> bool:
        """Whether its next leg begins a try."""
        return self.state is not State.DEFERRED and self.next is None

    @property
    def kept_for_later(self) -> dict[str, Any]:
        """What its deferral keeps for the leg that follows, as it was stored."""
        assert self.deferral is not None
        kept: dict[str, Any] = json.loads(json.dumps(self.deferral.kwargs or {}))
        return kept

    def run(self, accident: Accident | None) -> None:
        """The next leg, to its end or its death."""
        assert self.state is State.READY
        if self.next is None:
            self.tries += 1
            # XComs of an earlier try are gone before anything of this one runs.
            self.xcom, self.orders = {}, []
        process = Process(f"try {self.tries} of {self.name}", refusals=self.refusals)
        if accident is not None:
            process.dies_at = accident.step
            process.how = "term" if accident.how == "clear" else accident.how
        self.process = process
        with running_as(process, Errand(self, self.tries, self.orders)):
            self._leg(process)
        if process.dead and accident is not None and accident.how == "clear":
            # Airflow ends its process, and then treats it as one that was cleared when it was over.
            self.clear()

    def clear(self) -> None:
        """A person cleared it, and it is not running any more."""
        self.max_tries = self.tries + self.retries
        self.ever_cleared = True
        self.state, self.next, self.deferral = State.READY, None, None
        self.ended_for_good = False

    def remove(self) -> None:
        """The list that is mapped over has become too short for it."""
        self.state, self.next, self.deferral = State.FAILED, None, None
        self.ended_for_good = False

    def restore(self) -> None:
        """The list has become long enough again. It is the same task instance, and nobody cleared it."""
        self.state = State.READY

    def resume(self, method: str, kwargs: dict[str, Any]) -> None:
        """Its deferral is over."""
        self.state, self.next, self.deferral = State.READY, (method, kwargs), None

    def time_out(self, number: int) -> None:
        """Airflow's own limit of a deferral has come. ``number``: which of its deferrals."""
        if self.state is State.DEFERRED and self.number == number:
            self.resume(TRIGGER_FAIL_REPR, {"error": TriggerFailureReason.TRIGGER_TIMEOUT})

    def fail(self) -> None:
        """It failed, in whoever's eyes: another try, if there is one left."""
        again = self.retries > 0 and self.tries <= self.max_tries
        self.state = State.READY if again else State.FAILED
        self.next = self.deferral = None

    def _leg(self, process: Process) -> None:
        resumed, self.next = self.next, None
        instance = SteppedInstance(self.tries, self.max_tries, xcom=self.xcom, map_index=self.index)
        context: dict[str, Any] = {"ti": instance}
        if self.kept is not None:
            context["task_state_store"] = self.kept
        operator, order = self.build(self.index)
        self.orders.append(order)
        self.operator = operator
        process.on_kill = operator.on_kill
        try:
            operator.render_template_fields({**context, "params": {}}, _TEMPLATES)
            with task_state_names():
                if resumed is None:
                    result = operator.execute(context)
                else:
                    result = operator.resume_execution(*resumed, context)
            process.past_its_time_limit()
            instance.xcom_push("return_value", result)
            process.step("reporting success")
        except TaskDeferred as deferral:
            process.past_its_time_limit()
            with suppress(Killed):
                process.step("reporting the deferral")
            if not process.dead:
                self._defer(deferral)
        except BaseException as error:
            if not process.dead:
                self._raised(error)
        else:
            self.result, self.state = instance.xcom["return_value"], State.SUCCESS
        if process.dead:
            self.fail()

    def _defer(self, deferral: TaskDeferred) -> None:
        path, kwargs = deferral.trigger.serialize()
        self.trigger = (path, json.dumps(kwargs))
        self.number = next(self._numbers)
        self.state, self.deferral = State.DEFERRED, deferral

    def _raised(self, error: BaseException) -> None:
        seen: BaseException | None = error
        while seen is not None:
            self.told.append(f"{type(seen).__name__}: {seen}")
            seen = seen.__cause__ or seen.__context__
        if isinstance(error, AirflowFailException):
            self.state, self.ended_for_good = State.FAILED, True
        elif isinstance(error, _EXPECTED):
            self.fail()
        else:
            raise error
