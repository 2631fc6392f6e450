"""What a person reads in a task's log when the input was wrong, and whether it is enough."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSensorTimeout

from airflow_ltx.emulator import RunningEmulator
from airflow_ltx.exceptions import SegmindError
from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.operators.segmind import SegmindSubmitOperator
from airflow_ltx.sensors.segmind import SegmindRequestSensor
from runner import TaskRun, TaskState
from segmind_service import KEY, connection

PROMPT = "A lighthouse on a cliff at dusk, slow aerial shot moving towards the lantern"
SIGNATURE = "s3cr3t"
SIGNED = f"https://unreachable.invalid/first.png?token={SIGNATURE}"
"""An image that the emulator's service cannot fetch."""

_ERROR = re.compile(r"^\S+ \[(?:error|critical)\s*\] (.*?) \[[\w.]+\] loc=\S+$", re.MULTILINE)
_MONEY = re.compile(r"\b(?:billed|bought|buys|paid for|free of charge)\b|Nothing was sent|a cost of")
_RETRY = re.compile(r"\bretr(?:y|ied)\b")


@dataclass
class Bench:
    """Tasks against one emulator, and what they said when they failed."""

    segmind: RunningEmulator
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    secrets: set[str] = field(default_factory=lambda: {KEY, SIGNATURE})
    _heard: str = ""

    def connect(self, conn_id: str = "segmind_default", **fields: Any) -> None:
        """Make a connection to the emulator; a field that is None is left out."""
        usual = json.loads(connection(self.segmind.base_url))
        given = {name: value for name, value in {**usual, **fields}.items() if value is not None}
        if given.get("password", "").strip():
            self.secrets.add(given["password"])
        self.monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(given))

    def video(self, **arguments: Any) -> TaskRun:
        """One LTX task."""
        return self._run(LTXSubmitOperator, {"prompt": PROMPT}, arguments)

    def model(self, **arguments: Any) -> TaskRun:
        """One task of any model."""
        usual = {"model": "wan-2.2-t2v-fast", "parameters": {"prompt": PROMPT}}
        return self._run(SegmindSubmitOperator, usual, arguments)

    def sensor(self, request_id: Any, **arguments: Any) -> TaskRun:
        """One sensor."""
        usual = {"request_id": request_id, "poke_interval": 0.05}
        return TaskRun(
            lambda: SegmindRequestSensor(**{"task_id": "wait", "timeout": 20, **usual, **arguments})
        )

    @staticmethod
    def _run(kind: type, usual: dict[str, Any], arguments: dict[str, Any]) -> TaskRun:
        quick = {"task_id": "t", "poll_interval": 0.05, "timeout": 20}
        if arguments.get("wait_for_completion", True) is False:
            quick = {"task_id": "t"}
        return TaskRun(lambda: kind(**{**quick, **usual, **arguments}), state=TaskState())

    def errors(self) -> list[str]:
        """The ERROR lines since the last time."""
        new = "".join(self.capsys.readouterr())
        self._heard += new
        return errors_in(new)

    @property
    def log(self) -> str:
        """Everything that was logged."""
        self.errors()
        return self._heard

    def complaint(self, run: TaskRun, *, final: bool) -> str:
        """Let a try fail; its one line, which must be enough without the traceback.

        :param final: Whether Airflow must not try again.
        """
        self.errors()
        with pytest.raises((SegmindError, AirflowException)) as caught:
            run.try_once()
        error = caught.value
        assert self.errors() == [str(error)]
        assert isinstance(error, AirflowFailException | AirflowSensorTimeout) is final
        said = str(error)
        assert _MONEY.search(said), said
        assert _RETRY.search(said), said
        for secret in self.secrets:
            assert secret not in said + self._heard
        return said

    def complaints(self, run: TaskRun, *, final: bool) -> str:
        """As :meth:`complaint`, until nobody tries any more: Airflow's retries, or a person who clears it."""
        said = self.complaint(run, final=final)
        for _ in range(run.max_tries):
            if final:
                run.clear()
            again = self.complaint(run, final=final)
        assert _without_ids(again) == _without_ids(said)
        return said

    def bought(self) -> list[str]:
        """Ids of the requests that are paid for, or will be."""
        return [str(entry.request_id) for entry in self.segmind.ledger.purchases()]


def second_of(make: Callable[[], Any]) -> Callable[[], Any]:
    """The second index of a task that ``make`` maps, built as a worker builds it."""

    def build() -> Any:
        with DAG("d", schedule=None) as dag:
            make()
        (task,) = dag.tasks
        kwargs, _ = task._expand_mapped_kwargs({"ti": SimpleNamespace(map_index=1, run_id="r")})
        return task.unmap(kwargs)

    return build


def errors_in(log: str) -> list[str]:
    """The texts of its ERROR lines."""
    return _ERROR.findall(log)


def _without_ids(text: str) -> str:
    return re.sub(r"[0-9a-f]{32}|\d+ (?:s|min)\b", "…", text)


@pytest.fixture
def bench(
    segmind: RunningEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    # The hold of early events is tested on its own; here it would only be waiting.
    monkeypatch.setattr("airflow_ltx.triggers.early_event.LEAST_HOLD", 0.0)
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "-3")
    return Bench(segmind, monkeypatch, capsys)
