"""Runs an operator as Airflow would, in this process: tries, deferral, events as JSON, task state.

What the real processes add (scheduling, storage of XCom and task state, kills) is tested in tests/system.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from unittest.mock import patch

from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
from airflow.sdk.definitions.context import Context
from airflow.sdk.exceptions import TaskDeferred

HAS_TASK_STATE = "task_state_store" in Context.__annotations__


def task_state_names() -> AbstractContextManager[object]:
    """What comes with a task state. Airflow 3.2 has neither, and the runner then stands in for both.

    So what is decided from a record is tested there too; what comes of having none is in tests/in_process.
    """
    if HAS_TASK_STATE:
        return nullcontext()
    return patch("airflow.sdk.execution_time.context.NEVER_EXPIRE", object(), create=True)


class TaskState:
    """Airflow's task state as a worker sees it: JSON values that outlive tries."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        text = json.dumps(value)
        # As Airflow's own check: what comes back as something else, such as a tuple, is refused.
        assert json.loads(text) == value, f"no JSON: {value!r}"
        self.values[key] = text

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


@dataclass
class TaskInstance:
    """The part of a running task instance that operators use."""

    try_number: int
    max_tries: int
    xcom: dict[str, Any] = field(default_factory=dict)
    map_index: int = -1
    dag_id: str = "films"
    run_id: str = "manual__2026-01-02"
    task_id: str = "video"

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcom[key] = json.loads(json.dumps(value))

    def get_first_reschedule_date(self, context: Any) -> None:
        return None

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int) -> Any:
        assert map_indexes == self.map_index
        return self.xcom.get(key)


@dataclass
class TaskRun:
    """One task instance over its tries.

    :param build: Makes the operator anew for each leg, as Airflow does.
    :param state: None for an Airflow without task state.
    :param links: What each leg left as the target of the button on the task page.
    """

    build: Callable[[], Any]
    state: TaskState | None = field(default_factory=TaskState)
    max_tries: int = 2
    map_index: int = -1
    tries: int = 0
    deferred: list[TaskDeferred] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    ti: TaskInstance | None = None

    @property
    def record(self) -> dict[str, Any]:
        """What the task state holds."""
        assert self.state is not None
        return self.state.get("airflow_ltx.request")

    @property
    def purchases(self) -> list[dict[str, Any]]:
        """What it says was bought."""
        return self.record["purchases"]

    def try_once(self) -> Any:
        """One try, deferral and all; returns what the task returns or raises what it raises."""
        return self._try(lambda deferral: {"event": asyncio.run(self.fire(deferral))})

    def try_with(self, answer: Callable[[TaskDeferred], Any]) -> Any:
        """One try whose deferral ``answer`` ends: with the reason for which Airflow gave it up."""
        return self._try(answer)

    def try_without_answer(self, error: str) -> Any:
        """One try whose trigger never fires, and which Airflow ends with ``error``."""
        return self._try(lambda deferral: error)

    def _try(self, answer: Callable[[TaskDeferred], Any]) -> Any:
        self.tries += 1
        # XComs of an earlier try are gone before anything of this one runs.
        self.ti = TaskInstance(self.tries, self.max_tries, map_index=self.map_index)
        context: dict[str, Any] = {"ti": self.ti}
        if self.state is not None:
            context["task_state_store"] = self.state
        leg: Callable[[Any], Any] = lambda operator: operator.execute(context)  # noqa: E731
        while True:
            try:
                return self._leg(context, leg)
            except TaskDeferred as deferral:
                self.deferred.append(deferral)
                leg = self._resumption(deferral, answer(deferral), context)

    def _resumption(self, deferral: TaskDeferred, told: Any, context: dict[str, Any]) -> Callable[[Any], Any]:
        method, kwargs = deferral.method_name, json.loads(json.dumps(deferral.kwargs or {}))
        if isinstance(told, str):
            method, kwargs = TRIGGER_FAIL_REPR, {"error": told}
        else:
            kwargs |= told
        return lambda operator: operator.resume_execution(method, kwargs, context)

    def clear(self) -> None:
        """A person clears the task: Airflow raises max_tries and keeps the task state."""
        self.max_tries = self.tries + self.max_tries

    async def fire(self, deferral: TaskDeferred) -> Any:
        """Store, load and run the trigger; its event as JSON."""
        path, kwargs = deferral.trigger.serialize()
        module, _, name = path.rpartition(".")
        trigger = getattr(import_module(module), name)(**json.loads(json.dumps(kwargs)))
        async for event in trigger.run():
            payload = json.loads(json.dumps(event.payload))
            self.events.append(payload)
            return payload
        raise AssertionError("the trigger ended without an event")

    def _leg(self, context: dict[str, Any], call: Callable[[Any], Any]) -> Any:
        operator = self._rendered(context)
        try:
            with task_state_names():
                return call(operator)
        finally:
            # Airflow asks at the end of each leg, on whatever the leg made of its operator.
            self.links += [
                link.get_link(operator, ti_key=None) for link in getattr(operator, "operator_extra_links", ())
            ]

    def _rendered(self, context: dict[str, Any]) -> Any:
        operator = self.build()
        operator.render_template_fields({**context, "params": {}, "ds": "2026-01-02"})
        return operator
