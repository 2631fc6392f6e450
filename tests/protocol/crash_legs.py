"""One leg of a task, as the process that runs it sees it: everything that outlives it is in files.

A leg is a worker's (the first of a try, or one that resumes) or a triggerer's. What it hands over to Airflow
(a deferral, an event, a return value, a failure) is a file, too, which is there or not.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout, TaskDeferred
from crash_points import Points, ending
from crash_taps import tap
from crash_watch import watched

from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.operators.segmind import SegmindSubmitOperator
from runner import TaskInstance, TaskState, task_state_names

OPERATORS: dict[str, type[SegmindSubmitOperator]] = {
    "ltx": LTXSubmitOperator,
    "segmind": SegmindSubmitOperator,
}


def keep(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    text = json.dumps(value)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text)
    unfinished.replace(path)


def kept(path: Path, otherwise: Any = None) -> Any:
    """What is kept there."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return otherwise


@dataclass(frozen=True)
class Places:
    """The files of one task instance.

    :param videos: The destination.
    """

    home: Path

    @property
    def state(self) -> Path:
        return self.home / "task_state.json"

    @property
    def xcoms(self) -> Path:
        return self.home / "xcoms.json"

    @property
    def handed_over(self) -> Path:
        return self.home / "handed_over.json"

    @property
    def steps(self) -> Path:
        return self.home / "steps.json"

    @property
    def videos(self) -> Path:
        return self.home / "videos"


class KeptState(TaskState):
    """Airflow's task state, with its server's side in a file."""

    def __init__(self, path: Path, points: Points) -> None:
        super().__init__()
        self._path = path
        self._points = points

    def get(self, key: str, default: Any = None) -> Any:
        with self._points.around("the task state: get"):
            self.values = kept(self._path, {})
            return super().get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        with self._points.around("the task state: set"):
            super().set(key, value, retention=retention)
            keep(self._path, self.values)


@dataclass
class KeptInstance(TaskInstance):
    """A task instance whose XComs are in a file."""

    places: Places | None = None
    points: Points | None = None

    def xcom_push(self, key: str, value: Any) -> None:
        assert self.points is not None
        assert self.places is not None
        with self.points.around("an XCom: push"):
            super().xcom_push(key, value)
            keep(self.places.xcoms, self.xcom)


def run_leg(job: dict[str, Any]) -> None:
    """Run one leg to its end, or until it dies.

    :param job: JSON. ``home``: the folder of the task instance; ``trigger`` (path and arguments), or
        ``operator`` with ``arguments``, ``try_number``, ``max_tries``, ``task_state`` and ``resume`` (method
        and arguments); ``target`` and ``ending``: where it dies, and how. The process sees to
        ``environment`` and ``alone``.
    """
    places, points = Places(Path(job["home"])), Points(job["target"], ending(job["ending"]))
    with pytest.MonkeyPatch.context() as patch, _told(places, points), watched(points, places.videos):
        tap(points, places.videos, patch)
        if job.get("trigger"):
            _hand_over(places, points, "event", asyncio.run(_event(*job["trigger"])))
            return
        try:
            result = _work(job, places, points)
        except TaskDeferred as deferral:
            path, arguments = deferral.trigger.serialize()
            deferred = {
                "trigger": [path, arguments],
                "resume": [deferral.method_name, deferral.kwargs or {}],
            }
            _hand_over(places, points, "deferral", deferred)
        except Exception as error:
            final = isinstance(error, AirflowFailException)
            keep(
                places.handed_over, {"failure": {"text": f"{type(error).__name__}: {error}", "final": final}}
            )
        else:
            _hand_over(places, points, "return value", result)


def _work(job: dict[str, Any], places: Places, points: Points) -> Any:
    ti = KeptInstance(
        job["try_number"],
        job["max_tries"],
        xcom=kept(places.xcoms, {}),
        places=places,
        points=points,
    )
    context: dict[str, Any] = {"ti": ti}
    if job["task_state"]:
        context["task_state_store"] = KeptState(places.state, points)
    operator = OPERATORS[job["operator"]](task_id="video", **job["arguments"])
    operator.render_template_fields({**context, "params": {}, "ds": "2026-01-02"})
    try:
        with task_state_names():
            if job.get("resume") is None:
                return operator.execute(context)
            method, arguments = job["resume"]
            return operator.resume_execution(method, arguments, context)
    except AirflowTaskTimeout:
        operator.on_kill()
        raise


async def _event(path: str, arguments: dict[str, Any]) -> Any:
    module, _, name = path.rpartition(".")
    async for event in getattr(import_module(module), name)(**arguments).run():
        return event.payload
    raise AssertionError("the trigger ended without an event")


def _hand_over(places: Places, points: Points, kind: str, value: Any) -> None:
    with points.around(f"the {kind}: handed over"):
        keep(places.handed_over, {kind: value})


@contextmanager
def _told(places: Places, points: Points) -> Iterator[None]:
    """Tell the steps of a leg that came to its end, however: only a killed process tells none."""
    try:
        yield
    finally:
        told = {"seen": points.seen, "reached": points.reached, "uncounted": points.uncounted}
        keep(places.steps, told)


def quicken(patch: pytest.MonkeyPatch) -> None:
    """No hold of events, quick searches, no jitter: all are tested on their own, and here only waiting."""
    patch.setattr("airflow_ltx.triggers.early_event.LEAST_HOLD", 0.0)
    patch.setattr("airflow_ltx.segmind.waiting._draw", lambda: 0.01)
    patch.setattr("airflow_ltx.durability.recovery._SHORTEST", 0.1)
    patch.setattr("airflow_ltx.durability.recovery._SETTLING", 0.0)
    patch.setattr("airflow_ltx.operators._recover._ONE_READING", 0.5)
    patch.setitem(os.environ, "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "-3")
