"""Tasks on the shared stack, for tests that kill what works on them and then count purchases.

Each prompt begins with the run's id and the task's, which tells it from all others in the emulator's book and
in its faults.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Self

import av
import psutil

from local_airflow import SCHEDULER, TaskInstance

PATIENCE = 60.0


@dataclass(frozen=True)
class Scenario:
    """One task of one run; the task makes one video."""

    stack: Any
    dag_id: str
    run_id: str
    task_id: str = "video"

    @classmethod
    def begin(cls, stack: Any, dag_id: str, *faults: str) -> Self:
        """Start a run; `faults` happen to its submits alone."""
        scenario = cls(stack, dag_id, f"{dag_id}-{secrets.token_hex(4)}")
        stack.emulator.add_faults(*(f"{fault}@{scenario.mark}" for fault in faults))
        stack.airflow.wait_for_dags(dag_id)
        stack.airflow.api.unpause(dag_id)
        stack.airflow.api.trigger_run(dag_id, run_id=scenario.run_id)
        return scenario

    def sibling(self, task_id: str) -> Self:
        """Another task of the same run."""
        return replace(self, task_id=task_id)

    @property
    def mark(self) -> str:
        """How this task's prompts begin."""
        return f"{self.run_id} {self.task_id} "

    @property
    def task(self) -> TaskInstance:
        tasks = self.stack.airflow.api.task_instances(self.dag_id, self.run_id)
        (task,) = [task for task in tasks if task.task_id == self.task_id]
        return task

    @property
    def submissions(self) -> list[dict[str, Any]]:
        """What the service accepted for this task, whatever became of it; the oldest first."""
        return [
            entry
            for entry in self.stack.emulator.ledger()["submissions"]
            if entry["accepted"] and entry["body"]["prompt"].startswith(self.mark)
        ]

    @property
    def purchases(self) -> list[dict[str, Any]]:
        """The submissions that are paid for, or will be."""
        return [entry for entry in self.submissions if entry["outcome"] != "FAILED"]

    @property
    def folder(self) -> Path:
        """Where the task puts its video."""
        return self.stack.output / self.run_id

    @property
    def published(self) -> dict[str, Any]:
        return self.stack.airflow.api.xcoms(self.dag_id, self.run_id, self.task_id)

    def log(self, try_number: int) -> str:
        return self.stack.airflow.api.task_log(self.dag_id, self.run_id, self.task_id, try_number=try_number)

    def logs(self) -> str:
        """All tries, for an assertion's message."""
        return "\n".join(
            f"--- {self.run_id} try {number}\n{self.log(number)}"
            for number in range(1, self.task.try_number + 1)
        )

    def until(self, condition: Callable[[Self], Any], what: str) -> Any:
        """Wait for something to become true of this task; no longer than until the task is over."""
        deadline = time.monotonic() + PATIENCE
        while True:
            # Asked before the condition: what came true at the very end still counts.
            over = self.task.state in ("success", "failed")
            if found := condition(self):
                return found
            assert not over, f"The task is over, and there was no {what}:\n{self.logs()}"
            assert time.monotonic() < deadline, f"Waited in vain for {what}:\n{self.logs()}"
            time.sleep(0.25)

    def submitted(self) -> str:
        """Wait until the service has accepted the request; its id."""
        return str(self.until(lambda run: run.submissions, "submit")[0]["request_id"])

    def recorded(self) -> str:
        """Wait until the task has its request's id, which it publishes after it wrote its record."""
        return str(self.until(lambda run: run.published.get("request_id"), "request_id in XCom"))

    def deferred(self) -> TaskInstance:
        """Wait until the task is deferred and a triggerer has its trigger."""

        def waiting(run: Scenario) -> TaskInstance | None:
            task = run.task
            return task if task.state == "deferred" and task.triggerer is not None else None

        return self.until(waiting, "trigger in a triggerer")

    def struck(self, endpoint: str) -> None:
        """Wait until a scripted fault has acted on this task's request."""

        def acted(run: Scenario) -> bool:
            ids = {entry["request_id"] for entry in run.submissions}
            faults = run.stack.emulator.ledger()["faults"]
            return any(fault["endpoint"] == endpoint and fault["request_id"] in ids for fault in faults)

        self.until(acted, f"fault at {endpoint}")

    def kill_task(self, *, supervisor: bool = False) -> None:
        """SIGKILL the process that runs the task; with `supervisor` first the worker above it, so that
        nobody is left who could report the death."""
        pid = self.task.pid
        own = self.stack.airflow.pids(SCHEDULER)
        assert pid in own, f"{pid} is none of the workers' processes: {own}"
        parent = psutil.Process(pid).ppid()
        if supervisor:
            assert parent in own
            os.kill(parent, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)

    def clear(self, *, whole_run: bool = False) -> None:
        """What a person does who clears the task, or all tasks of its run."""
        self.stack.airflow.api.clear(self.dag_id, self.run_id, None if whole_run else [self.task_id])

    def ended(self, timeout: float = 150) -> Self:
        """Wait for the end of the run, green or not."""
        self.stack.airflow.api.wait_for_run(self.dag_id, self.run_id, timeout=timeout)
        return self

    def the_one_video(self) -> dict[str, Any]:
        """The return value, after checking that the task is green, that it bought once, and that its file
        is there, whole and alone."""
        assert self.task.state == "success", self.logs()
        (bought,) = self.purchases
        return self.video_of(bought)

    def video_of(self, bought: dict[str, Any]) -> dict[str, Any]:
        """The return value, after checking that it is of this purchase and that its file is whole."""
        result = self.published["return_value"]
        assert result["request_id"] == bought["request_id"], self.logs()
        assert bought["outcome"] == "COMPLETED"
        uri, content = self.file(self.name_of(bought))
        assert result["uri"] == uri
        assert hashlib.sha256(content).hexdigest() == result["sha256"]
        assert frames(io.BytesIO(content))[3] == 97
        return result

    def name_of(self, bought: dict[str, Any]) -> str:
        """Of the video's file in the task's folder."""
        return f"{bought['request_id']}.mp4"

    def file(self, name: str) -> tuple[str, bytes]:
        """The URI and the content of a file of the task."""
        path = self.folder / name
        return f"file://{path}", path.read_bytes()

    def the_one_video_of_the_first_try(self) -> dict[str, Any]:
        """As :meth:`the_one_video`, of a task that no kill has cost a try."""
        result = self.the_one_video()
        assert (self.task.try_number, result["reused"]) == (1, False), self.logs()
        return result

    def the_one_video_of_the_second_try(self) -> dict[str, Any]:
        """As :meth:`the_one_video`, of a request that the second try took up from the first."""
        result = self.the_one_video()
        assert (self.task.try_number, result["reused"]) == (2, True), self.logs()
        assert f"Reattached to request {result['request_id']}" in self.log(2)
        return result

    def finished_files(self) -> list[str]:
        """Names of the files that a reader of the folder would take for videos."""
        files = [path.name for path in self.folder.iterdir() if path.is_file()]
        return sorted(name for name in files if not name.startswith("."))


class RemoteScenario(Scenario):
    """One whose task puts its video into the stack's bucket, as the triggerer does."""

    def file(self, name: str) -> tuple[str, bytes]:
        key = f"{self.run_id}/{name}"
        return f"s3://{self.stack.bucket.bucket}/{key}", self.stack.bucket.read(key)

    def finished_files(self) -> list[str]:
        start = f"{self.run_id}/"
        names = [name.removeprefix(start) for name in self.stack.bucket.names() if name.startswith(start)]
        return [name for name in names if not name.startswith("_")]


def frames(file: Path | BinaryIO) -> tuple[str, int, int, int]:
    """Codec, width, height and number of frames, by decoding the file."""
    with av.open(file) as film:
        stream = film.streams.video[0]
        count = sum(1 for _ in film.decode(video=0))
        return stream.codec_context.name, stream.width, stream.height, count


class Together:
    """Scenarios that run at once, each in a thread: most of their time is waiting."""

    def __init__(self, stack: Any, scenarios: Iterable[Callable[[Any], Scenario]]) -> None:
        todo = list(scenarios)
        self._pool = ThreadPoolExecutor(len(todo))
        self._ends: dict[str, Future[Scenario]] = {
            scenario.__name__: self._pool.submit(scenario, stack) for scenario in todo
        }

    def end_of(self, scenario: Callable[[Any], Scenario]) -> Scenario:
        """Wait for a scenario's end; raises what it raised."""
        return self._ends[scenario.__name__].result()

    def close(self) -> None:
        """Wait for all of them."""
        self._pool.shutdown(wait=True)
