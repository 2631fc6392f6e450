"""The port that the emulator should listen on is taken."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading

import pytest

from airflow_ltx.emulator import Settings, running_emulator
from local_airflow import StackError
from local_emulator import LocalEmulator


def started(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airflow_ltx.emulator", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_the_command_ends_with_one_line_that_names_the_port_and_the_way_out(taken, tmp_path):
    ready, ledger = tmp_path / "ready.json", tmp_path / "ledger.json"
    done = started(f"--port={taken}", f"--ready-file={ready}", f"--ledger={ledger}", "--api-key=SG_0123")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"segmind emulator: port {taken} is taken; choose another with --port\n"
    # Nothing that a reader would take for a running emulator.
    assert list(tmp_path.iterdir()) == []


def test_an_emulator_that_is_there_already_goes_on(tmp_path):
    with running_emulator(Settings(prerender=False)) as emulator:
        done = started(f"--port={emulator.base_url.rpartition(':')[2]}")
        assert done.returncode == 2
        assert re.fullmatch(r"segmind emulator: port \d+ is taken; choose another with --port\n", done.stderr)
        emulator.configure(credits=5)
        assert emulator.ledger.submissions == []


def test_in_a_test_it_is_the_systems_error_and_nothing_is_left(taken):
    before = threading.active_count()
    with pytest.raises(OSError, match="in use"), running_emulator(port=taken):
        pass
    assert threading.active_count() == before


def test_the_demos_emulator_quotes_the_line(taken, tmp_path):
    emulator = LocalEmulator(
        queue_seconds=0, inference_seconds=0, home=tmp_path, arguments=[f"--port={taken}"]
    )
    with pytest.raises(StackError, match=f"port {taken} is taken; choose another with --port") as caught:
        emulator.start()
    assert "ended with code 2" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert emulator.pids() == []


@pytest.mark.parametrize("port", ["65536", "-1"])
def test_a_number_that_is_no_port_is_one_line_too(port):
    done = started(f"--port={port}")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert port in done.stderr
