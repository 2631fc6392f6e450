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

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcom[key] = json.loads(json.dumps(value))


@dataclass
class TaskRun:
    """One task instance over its tries.

    :param build: Makes the operator anew for each leg, as Airflow does.
    :param state: None for an Airflow without task state.
    """

    build: Callable[[], Any]
    state: TaskState | None = field(default_factory=TaskState)
    max_tries: int = 2
    tries: int = 0
    deferred: list[TaskDeferred] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    ti: TaskInstance | None = None

    def try_once(self) -> Any:
        """One try, deferral and all; returns what the task returns or raises what it raises."""
        self.tries += 1
        # XComs of an earlier try are gone before anything of this one runs.
        self.ti = TaskInstance(self.tries, self.max_tries)
        context: dict[str, Any] = {"ti": self.ti}
        if self.state is not None:
            context["task_state_store"] = self.state
        try:
            return self._rendered(context).execute(context)
        except TaskDeferred as deferral:
            self.deferred.append(deferral)
            event = asyncio.run(self.fire(deferral))
            return self._resume(deferral, context, event)

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

    def _resume(self, deferral: TaskDeferred, context: dict[str, Any], event: Any) -> Any:
        method = getattr(self._rendered(context), deferral.method_name)
        return method(context, event=event, **(deferral.kwargs or {}))

    def _rendered(self, context: dict[str, Any]) -> Any:
        operator = self.build()
        operator.render_template_fields({**context, "params": {}, "ds": "2026-01-02"})
        return operator
