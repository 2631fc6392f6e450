"""A trigger's id that SQLite gives away twice: a task is told how the request of another one ended."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from scenario import Scenario

from local_airflow import TRIGGERER, LocalAirflow

_NOBODYS = (
    "update task_instance set trigger_id = null where state is not 'deferred' and trigger_id is not null",
    "delete from trigger where id not in (select trigger_id from task_instance where trigger_id is not null)",
)
"""How each triggerer cleans up once a second, between two looks at what it should run."""


@contextmanager
def writing(airflow: LocalAirflow, patience: float) -> Iterator[sqlite3.Connection]:
    """The one writer of Airflow's database."""
    with closing(sqlite3.connect(airflow.home / "airflow.db", timeout=patience)) as connection, connection:
        connection.execute("begin immediate")
        yield connection


@pytest.fixture
def halted(triggerer):
    """``halted()``: the triggerer's main process stands still from now on, and its triggers go on."""

    def halt() -> None:
        while True:
            triggerer.kill(TRIGGERER, signal.SIGSTOP)
            try:
                with writing(triggerer, 1.0):
                    return
            except sqlite3.OperationalError:
                # It was about to write, and would keep everybody else from it.
                triggerer.kill(TRIGGERER, signal.SIGCONT)
                time.sleep(0.1)

    yield halt
    triggerer.kill(TRIGGERER, signal.SIGCONT)


def instance(run: Scenario, method: str = "GET", body: Any = None) -> Any:
    path = f"dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{run.task_id}"
    return run.stack.airflow.api.request(method, path, body)


def nobody_waits(airflow: LocalAirflow) -> None:
    """Until no trigger is left of other tests: the id that is free next is then known."""
    deadline = time.monotonic() + 60
    while True:
        with writing(airflow, 30.0) as connection:
            (count,) = connection.execute("select count(*) from trigger").fetchone()
        if not count:
            return
        assert time.monotonic() < deadline, f"{count} triggers are left"
        time.sleep(0.5)


def test_a_task_that_is_told_of_another_ones_request_waits_on_for_its_own(airflow_stack, halted, inference):
    airflow = airflow_stack.airflow
    nobody_waits(airflow)
    inference(20)
    ended = Scenario.begin(airflow_stack, "deferring_video")
    first = ended.deferred().triggerer
    ended.until(lambda run: run.submissions[0]["polls"], "look at the request")
    number = instance(ended)["trigger"]["id"]
    halted()
    instance(ended, "PATCH", {"new_state": "failed"})
    with writing(airflow, 30.0) as connection:
        for statement in _NOBODYS:
            connection.execute(statement)
    inference(5)
    run = Scenario.begin(airflow_stack, "deferring_video")
    run.until(lambda run: run.task.state == "deferred", "deferral")
    with writing(airflow, 30.0) as connection:
        # So that its first look finds the row assigned, wherever it was when it was halted.
        given = connection.execute("update trigger set triggerer_id = ? returning id", (first,)).fetchall()
    assert given == [(number,)]
    airflow.kill(TRIGGERER, signal.SIGCONT)
    run.ended()
    result = run.the_one_video_of_the_first_try()
    (other,) = ended.purchases
    assert other["request_id"] != result["request_id"]
    assert f"another one (request {other['request_id']})" in run.log(1), "the event did not go astray"
