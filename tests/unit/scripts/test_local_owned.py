from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local_airflow.errors import StackError
from local_airflow.owned import OwnedProcesses
from local_airflow.process_table import living

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"

# A parent that ignores SIGTERM, with a grandchild in a session and environment of its own.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(
    [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True, env={}
)
print("ready", flush=True)
time.sleep(600)
"""

OWNER = f"""
import os, pathlib, sys, time
from local_airflow.owned import OwnedProcesses
processes = OwnedProcesses()
here = pathlib.Path(sys.argv[1])
command = [sys.executable, "-c", {STUBBORN!r}]
processes.spawn("stubborn", command, env=dict(os.environ), cwd=here, log=here / "log")
while "ready" not in (here / "log").read_text():
    time.sleep(0.05)
print(processes.owner, len(processes.pids()), flush=True)
time.sleep(600)
"""


def spawn_stubborn(processes: OwnedProcesses, home: Path) -> None:
    log = home / "stubborn.log"
    processes.spawn("stubborn", [sys.executable, "-c", STUBBORN], env=dict(os.environ), cwd=home, log=log)
    wait_until(lambda: "ready" in log.read_text())


def wait_until(condition, timeout: float = 20.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.fixture
def processes():
    owned = OwnedProcesses()
    yield owned
    owned.stop(grace=0.1)


def test_stop_reaches_who_ignores_it_and_their_children(processes: OwnedProcesses, tmp_path: Path):
    spawn_stubborn(processes, tmp_path)
    assert len(processes.pids("stubborn")) == 2
    processes.stop(grace=0.3)
    assert processes.pids() == []
    assert processes.names == []


def test_stopping_one_leaves_the_other(processes: OwnedProcesses, tmp_path: Path):
    for name in ("one", "two"):
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        processes.spawn(name, command, env=dict(os.environ), cwd=tmp_path, log=tmp_path / name)
    wait_until(lambda: processes.pids("one") and processes.pids("two"))
    processes.stop(["one"], grace=2)
    assert processes.pids("one") == []
    assert len(processes.pids("two")) == 1


def test_an_ended_process_reports_its_code(processes: OwnedProcesses, tmp_path: Path):
    command = [sys.executable, "-c", "import sys; sys.exit(7)"]
    processes.spawn("short", command, env=dict(os.environ), cwd=tmp_path, log=tmp_path / "log")
    wait_until(lambda: processes.exit_code("short") is not None)
    assert processes.exit_code("short") == 7


def test_a_second_start_under_the_same_name_is_refused(processes: OwnedProcesses, tmp_path: Path):
    spawn_stubborn(processes, tmp_path)
    with pytest.raises(StackError, match="running already"):
        processes.spawn("stubborn", ["true"], env={}, cwd=tmp_path, log=tmp_path / "log")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_the_owner(tmp_path: Path, number: signal.Signals):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    mark, count = owner.stdout.readline().split()
    assert count == "2"
    owner.send_signal(number)
    owner.wait(timeout=10)
    wait_until(lambda: not living(mark))
    owner.stdout.close()
