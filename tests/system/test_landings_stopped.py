"""A real triggerer that has to stop, or to let go of a task, while a file is on its way to a bucket."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
from deferred import landing_in, put_rows, submit, until, waits
from servers.store import Store

from local_airflow import TRIGGERER, LocalAirflow
from local_emulator import LocalEmulator

SIZE = 60 * 1024**2
"""At a few megabytes a second: it is still coming when something happens."""
SOON = 8.0
"""Seconds. After ten, Airflow takes harsher means, which leave things behind."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LocalEmulator]:
    with LocalEmulator(queue_seconds=0, inference_seconds=1, home=tmp_path / "emulator") as emulator:
        emulator.configure(requests_per_minute=None, least_bytes=SIZE)
        yield emulator


@pytest.fixture
def name(airflow: LocalAirflow, service: LocalEmulator, bucket: Store) -> str:
    """Of a file of which a part is in the bucket, and the next is on its way."""
    (request_id,) = submit(service, 1)
    service.add_faults(f"download:after:slow:4000000@{request_id}")
    service.advance(30)
    put_rows(airflow, waits([request_id], age=5.0, poll_interval=5.0, landing=landing_in(bucket)))
    airflow.start_another(TRIGGERER, TRIGGERER)
    name = f"many/{request_id}.mp4"
    until(lambda: bucket.objects.waiting_parts(bucket.bucket, name), airflow, 90)  # type: ignore[attr-defined]
    return name


@contextmanager
def silent(service: LocalEmulator) -> Iterator[None]:
    """The file host is there, and says nothing."""
    hosts = [
        process
        for process in psutil.Process().children(recursive=True)
        if any(service.key in argument for argument in process.cmdline())
    ]
    assert hosts
    for host in hosts:
        host.suspend()
    try:
        yield
    finally:
        for host in hosts:
            host.resume()


def stop(airflow: LocalAirflow) -> float:
    """Seconds in which the triggers' process of a triggerer that is told to ends.

    Its supervisor often notices that only when ten seconds are over, as it waits for sockets that are closed.
    """
    main = psutil.Process(airflow.main_pid(TRIGGERER))
    triggers = main.children(recursive=True)
    assert triggers
    begun = time.monotonic()
    os.kill(main.pid, signal.SIGTERM)
    while not all(map(ended, triggers)):
        assert time.monotonic() - begun < 60
        time.sleep(0.05)
    took = time.monotonic() - begun
    _, alive = psutil.wait_procs([main], timeout=60)
    assert not alive
    return took


def ended(process: psutil.Process) -> bool:
    """Whether nothing of it runs any more, seen by its parent or not."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def check_nothing_is_left(bucket: Store, name: str) -> None:
    assert name not in bucket.unfinished_uploads()
    assert not [there for there in bucket.names() if name.rpartition("/")[2] in there]


def test_a_task_that_is_cleared_leaves_nothing_of_its_landing(airflow, bucket, name):
    with closing(sqlite3.connect(airflow.home / "airflow.db", timeout=30)) as connection:
        connection.execute("update task_instance set trigger_id = null, state = null")
        connection.commit()
    until(lambda: name not in bucket.unfinished_uploads(), airflow, 20)
    check_nothing_is_left(bucket, name)


@pytest.mark.parametrize("host", ["talks", "is silent"])
def test_a_triggerer_ends_soon_and_leaves_nothing_of_a_landing(airflow, service, bucket, name, host):
    if host == "talks":
        took = stop(airflow)
    else:
        with silent(service):
            took = stop(airflow)
    log = airflow.log(TRIGGERER).read_text()
    assert took < SOON, log[-2000:]
    assert "did not terminate in time" not in log
    check_nothing_is_left(bucket, name)
