"""A trigger's id given away twice: a task is told how the request of another one ended."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from scenario import Scenario

from local_airflow import TRIGGERER


@pytest.fixture
def stopped(triggerer):
    """The triggerer whose main process can be made to stand still while its triggers go on."""
    yield triggerer
    triggerer.kill(TRIGGERER, signal.SIGCONT)


def trigger_of(run: Scenario) -> int:
    path = f"dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{run.task_id}"
    return int(run.stack.airflow.api.request("GET", path)["trigger"]["id"])


def fail_by_hand(run: Scenario) -> None:
    path = f"dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{run.task_id}"
    run.stack.airflow.api.request("PATCH", path, {"new_state": "failed"})


def clean_unused(home: Path) -> None:
    """What each triggerer does once a second, between two looks at what it should run."""
    with closing(sqlite3.connect(home / "airflow.db", timeout=30)) as connection, connection:
        connection.execute(
            "delete from trigger where id not in (select trigger_id from task_instance "
            "where state = 'deferred' and trigger_id is not null)"
        )


def test_a_task_that_is_told_of_another_ones_request_waits_on_for_its_own(airflow_stack, stopped, inference):
    inference(12)
    ended = Scenario.begin(airflow_stack, "deferring_video")
    ended.deferred()
    ended.until(lambda run: run.submissions[0]["polls"], "look at the request")
    number = trigger_of(ended)
    inference(25)
    stopped.kill(TRIGGERER, signal.SIGSTOP)
    fail_by_hand(ended)
    clean_unused(airflow_stack.airflow.home)
    run = Scenario.begin(airflow_stack, "deferring_video")
    run.until(lambda run: run.task.state == "deferred", "deferral")
    assert trigger_of(run) == number, "SQLite gave the id to nobody else"
    stopped.kill(TRIGGERER, signal.SIGCONT)
    run.ended()
    result = run.the_one_video_of_the_first_try()
    (other,) = ended.purchases
    assert other["request_id"] != result["request_id"]
    assert other["request_id"] in run.log(1), "the event did not go astray"
