"""Runs an operator as Airflow would, in this process: tries, deferral, events as JSON, task state.

What the real processes add (scheduling, storage of XCom and task state, kills) is tested in tests/system.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
from airflow.sdk.exceptions import TaskDeferred


class TaskState:
    """Airflow's task state as a worker sees it: JSON values that outlive tries."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.values[key] = json.dumps(value)

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


@dataclass
class TaskInstance:
    """The part of a running task instance that operators use."""

    try_number: int
    max_tries: int
    xcom: dict[str, Any] = field(default_factory=dict)
    map_index: int = -1

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
    tries: int = 0
    deferred: list[TaskDeferred] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    ti: TaskInstance | None = None

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
        self.ti = TaskInstance(self.tries, self.max_tries)
        context: dict[str, Any] = {"ti": self.ti}
        if self.state is not None:
            context["task_state_store"] = self.state
        try:
            return self._leg(context, lambda operator: operator.execute(context))
        except TaskDeferred as deferral:
            self.deferred.append(deferral)
            told = answer(deferral)
            method, kwargs = deferral.method_name, {**(deferral.kwargs or {})}
            if isinstance(told, str):
                method, kwargs = TRIGGER_FAIL_REPR, {"error": told}
            else:
                kwargs |= told
            return self._leg(context, lambda operator: operator.resume_execution(method, kwargs, context))

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
