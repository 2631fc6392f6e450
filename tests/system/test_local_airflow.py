"""The stack runner itself: what tests, the demo and benchmarks stand on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local_airflow import (
    API_SERVER,
    COMPONENTS,
    SCHEDULER,
    TRIGGERER,
    AirflowApi,
    ApiError,
    LocalAirflow,
    StackError,
)
from local_airflow.process_table import living

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

TRIVIAL = """
from airflow.sdk import dag, task

@dag(schedule=None)
def trivial():
    @task
    def add(a, b):
        print("adding up")
        return {"sum": a + b}

    add.partial(a=1).expand(b=[1, 2])

@dag(schedule=None)
def endless():
    @task
    def sleep():
        import time

        print("sleeping")
        time.sleep(600)

    sleep()

trivial()
endless()
"""

# Starts a stack with a task in it, says so and waits to be killed.
OWNER = """
import pathlib, sys, time
from local_airflow import LocalAirflow

dags, home = map(pathlib.Path, sys.argv[1:])
airflow = LocalAirflow(dags, home=home, wait_for=["endless"]).start()
airflow.api.unpause("endless")
run_id = airflow.api.trigger_run("endless")
while [task.state for task in airflow.api.task_instances("endless", run_id)] != ["running"]:
    time.sleep(0.2)
print(airflow.mark, len(airflow.pids()), flush=True)
time.sleep(600)
"""


def folder(tmp: Path, text: str) -> Path:
    dags = tmp / "dags"
    dags.mkdir()
    (dags / "file.py").write_text(text)
    return dags


def wait_until(condition, timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def lives(pid: int) -> bool:
    """A zombie does not: an orphan's entry stays until init gets round to it."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    tmp = tmp_path_factory.mktemp("trivial")
    with LocalAirflow(folder(tmp, TRIVIAL), home=tmp / "home", wait_for=["trivial", "endless"]) as stack:
        yield stack


def run_trivial(stack: LocalAirflow) -> str:
    stack.api.unpause("trivial")
    run_id = stack.api.trigger_run("trivial")
    assert stack.api.wait_for_run("trivial", run_id, timeout=90) == "success"
    return run_id


def test_a_dag_runs_green_and_its_results_can_be_read(airflow: LocalAirflow):
    run_id = run_trivial(airflow)
    tasks = airflow.api.task_instances("trivial", run_id)
    mapped = [task for task in tasks if task.task_id == "add"]
    assert [(task.map_index, task.state, task.try_number) for task in mapped] == [
        (0, "success", 1),
        (1, "success", 1),
    ]
    assert airflow.api.xcoms("trivial", run_id, "add", 1) == {"return_value": {"sum": 3}}
    assert "adding up" in airflow.api.task_log("trivial", run_id, "add", map_index=0)


def test_a_cleared_task_runs_again(airflow: LocalAirflow):
    run_id = run_trivial(airflow)
    assert airflow.api.clear("trivial", run_id, ["add"]) == 2
    assert airflow.api.wait_for_run("trivial", run_id, timeout=90) == "success"
    assert {task.try_number for task in airflow.api.task_instances("trivial", run_id)} == {2}


def test_a_running_tasks_log_has_no_complaint_about_a_log_server(airflow: LocalAirflow):
    airflow.api.unpause("endless")
    run_id = airflow.api.trigger_run("endless")

    def log() -> str:
        tasks = airflow.api.task_instances("endless", run_id)
        return airflow.api.task_log("endless", run_id, "sleep") if tasks[0].state == "running" else ""

    wait_until(lambda: "sleeping" in log(), timeout=60)
    assert "Could not read" not in log()
    airflow.api.request("PATCH", f"dags/endless/dagRuns/{run_id}", {"state": "failed"})


def test_every_component_is_a_process_and_listens_on_loopback_only(airflow: LocalAirflow):
    own = {component: set(airflow.pids(component)) for component in COMPONENTS}
    assert all(own.values())
    assert len(own[SCHEDULER]) > 4, "the LocalExecutor's workers belong to the scheduler"
    assert set.union(*own.values()) == set(airflow.pids())
    addresses = {
        connection.laddr.ip
        for pid in airflow.pids()
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_only_its_own_user_gets_in(airflow: LocalAirflow):
    assert airflow.api.token()
    with pytest.raises(ApiError, match="401"):
        AirflowApi(airflow.base_url, airflow.username, "guessed").token()


def test_a_killed_component_is_gone_until_it_is_started_again(airflow: LocalAirflow):
    airflow.kill(TRIGGERER, signal.SIGKILL, tree=True)
    wait_until(lambda: not airflow.pids(TRIGGERER))
    airflow.check()
    airflow.start_component(TRIGGERER)
    assert airflow.pids(TRIGGERER)


def test_a_restarted_scheduler_runs_dags(airflow: LocalAirflow):
    before = airflow.main_pid(SCHEDULER)
    airflow.restart(SCHEDULER)
    assert airflow.main_pid(SCHEDULER) != before
    run_trivial(airflow)


def test_a_component_that_dies_is_reported_with_its_log(airflow: LocalAirflow):
    os.kill(airflow.main_pid(API_SERVER), signal.SIGKILL)
    with pytest.raises(StackError, match="api-server ended by signal SIGKILL") as caught:
        airflow.api.wait_for_run("trivial", "any", timeout=30)
    assert caught.value.log == airflow.log(API_SERVER)
    airflow.start_component(API_SERVER)
    run_trivial(airflow)


def test_two_stacks_live_side_by_side_and_one_ends_alone(airflow: LocalAirflow, tmp_path: Path):
    other = LocalAirflow(folder(tmp_path, TRIVIAL), wait_for=["trivial"])
    with other:
        assert other.port != airflow.port
        run_trivial(other)
        processes = other.pids()
    assert other.pids() == []
    assert [pid for pid in processes if lives(pid)] == []
    assert not other.home.exists()
    run_trivial(airflow)


def test_a_dag_that_cannot_be_imported_is_reported_with_its_text(tmp_path: Path):
    dags = folder(tmp_path, "from airflow.sdk import dag\nimport no_such_module_of_ours\n")
    airflow = LocalAirflow(dags, home=tmp_path / "home", wait_for=["anything"])
    with pytest.raises(StackError, match="No module named 'no_such_module_of_ours'") as caught:
        airflow.start()
    assert "file.py" in str(caught.value)
    assert airflow.pids() == []


def test_a_component_that_dies_while_booting_is_reported_at_once(tmp_path: Path):
    dags = folder(tmp_path, TRIVIAL)
    airflow = LocalAirflow(dags, home=tmp_path / "home", settings={"core": {"executor": "NoSuchExecutor"}})
    with pytest.raises(StackError, match="NoSuchExecutor") as caught:
        airflow.start()
    assert caught.value.log is not None
    assert caught.value.log.is_file()
    assert airflow.pids() == []


def test_a_missing_dag_folder_is_named(tmp_path: Path):
    with pytest.raises(StackError, match="nowhere does not exist"):
        LocalAirflow(tmp_path / "nowhere", home=tmp_path / "home").start()


def test_nothing_outlives_a_killed_owner(tmp_path: Path):
    with (tmp_path / "owner.log").open("w") as errors:
        owner = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(folder(tmp_path, TRIVIAL)), str(tmp_path / "home")],
            env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert owner.stdout is not None
    with owner.stdout:
        line = owner.stdout.readline()
    assert line, (tmp_path / "owner.log").read_text()
    mark, count = line.split()
    # Four components, a runner in the triggerer, four workers, and the task with its supervisor.
    assert int(count) >= 10
    owner.kill()
    owner.wait(timeout=10)
    wait_until(lambda: not living(mark))
