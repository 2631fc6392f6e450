"""The triggerer of an Airflow in memory: real triggers, on a loop whose time somebody else lets pass."""

from __future__ import annotations

import asyncio
import json
from importlib import import_module
from typing import Any

from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason

from tests.virtual.clock import VirtualClock
from tests.virtual.processes import Process, acting, running_as
from tests.virtual.tasks import Errand, State, Task

TAKE_OVER = 25.0
"""Seconds until another triggerer has noticed that one is dead."""


class Triggerer:
    """Runs the triggers of deferred tasks, all on one loop.

    :param tasks: All that there are.
    :ivar fired: The events of all waits, as they were stored.
    """

    def __init__(self, clock: VirtualClock, tasks: list[Task]) -> None:
        self._clock = clock
        self._tasks = tasks
        self._runs: dict[Task, tuple[int, asyncio.Task[None]]] = {}
        self.fired: list[Any] = []
        self.process = Process("triggerer")

    @property
    def dead(self) -> bool:
        return self.process.dead

    def die(self) -> None:
        """At once."""
        self.process.dead = True

    def start(self, dies_at: int | None = None) -> None:
        """Another one in its place."""
        self.close()
        self.process = Process("triggerer", dies_at)
        self.look()

    def look(self) -> None:
        """Take up what was deferred, and let go of what is not any more."""
        for task, (number, run) in list(self._runs.items()):
            if run.done() or task.state is not State.DEFERRED or task.number != number:
                del self._runs[task]
                self._clock.cancel([run])
        if self.dead:
            return
        for task in self._tasks:
            if task.state is State.DEFERRED and task not in self._runs:
                self._runs[task] = (task.number, self._begin(task))

    def close(self) -> None:
        """End what runs."""
        self.die()
        self._clock.cancel([run for _, run in self._runs.values()])
        self._runs.clear()

    def tell_of_its_end(self, task: Task) -> None:
        """A person or the scheduler ended a deferred task: its trigger is told, if there is a triggerer."""
        if self.dead or task.trigger is None:
            return
        with running_as(self.process):
            self._clock.cancel([self._clock.spawn(_load(*task.trigger).on_kill())])

    def tell_another(self, task: Task, event: Any) -> None:
        """An event of another wait reaches a deferred task, whose trigger's id was that wait's."""
        assert task.deferral is not None
        task.resume(task.deferral.method_name, {**task.kept_for_later, "event": event})
        self.look()

    def _begin(self, task: Task) -> asyncio.Task[None]:
        with running_as(self.process, Errand(task, task.tries, task.orders)):
            return self._clock.spawn(self._run(task, task.number))

    async def _run(self, task: Task, number: int) -> None:
        assert task.trigger is not None
        assert task.deferral is not None
        method, kwargs = task.deferral.method_name, task.kept_for_later
        process = acting()
        try:
            async for event in _load(*task.trigger).run():
                kwargs["event"] = json.loads(json.dumps(event.payload))
                self.fired.append(kwargs["event"])
                break
        except Exception as error:
            task.told.append(f"{type(error).__name__}: {error}")
            method, kwargs = TRIGGER_FAIL_REPR, {"error": TriggerFailureReason.TRIGGER_FAILURE}
        else:
            assert "event" in kwargs, "the trigger ended without an event"
        process.step("recording the event")
        if task.state is State.DEFERRED and task.number == number:
            task.resume(method, kwargs)


def _load(path: str, kwargs: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)(**json.loads(kwargs))
