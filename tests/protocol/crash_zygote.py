"""Processes for legs: forked, with Airflow imported, from a process that has no threads.

Run as a program it imports, and forks a few lanes. Each lane runs one leg after the other in a host, a child
of its own, and forks another one when that has died.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_READY = b"ready\n"
_LONGEST_LEG = 120
_IMPORTED_LATE = ("anyio._backends._asyncio", "anyio.streams.tls", "asgiref.sync", "encodings.idna")


class Lane:
    """Runs legs in other processes, one at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")

    def run(self, job: dict[str, Any]) -> int:
        """Run a leg; returns 0, 1 if it ended by an exception, or the negative signal that killed it."""
        self._connection.sendall(json.dumps(job).encode() + b"\n")
        answer = self._answers.readline()
        assert answer, "the lane is gone"
        return int(answer)

    def is_ready(self) -> bool:
        """Waits until it is, or never will be."""
        return self._answers.readline() == _READY

    def close(self) -> None:
        self._answers.close()
        self._connection.close()


@contextmanager
def running_lanes(count: int) -> Iterator[list[Lane]]:
    """``count`` lanes. Afterwards their processes are gone; they go, too, when this process does, however."""
    pairs = [socket.socketpair() for _ in range(count + 1)]
    theirs = [pair[1].fileno() for pair in pairs]
    # Unbuffered: what a leg logged before it is killed was logged.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    (life, _), *ways = pairs
    lanes = [Lane(way) for way, _ in ways]
    with tempfile.TemporaryFile("w+") as said:
        program = subprocess.Popen(
            [sys.executable, __file__, *map(str, theirs)],
            pass_fds=theirs,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            # A group of its own, which it can end as a whole.
            start_new_session=True,
        )
        try:
            for _, their in pairs:
                their.close()
            if not all(lane.is_ready() for lane in lanes):
                said.seek(0)
                raise RuntimeError(said.read())
            yield lanes
        finally:
            life.close()
            program.wait(_LONGEST_LEG)
            for lane in lanes:
                lane.close()


def _import_all() -> None:
    """Everything that a leg imports, so that no child has to."""
    import airflow_ltx
    from airflow_ltx.hooks.segmind import SegmindHook
    from airflow_ltx.segmind.transport import shared_ssl_context

    names = [module.name for module in pkgutil.walk_packages(airflow_ltx.__path__, "airflow_ltx.")]
    # What speaks to OpenLineage is imported by it alone.
    absent = "._lineage" if importlib.util.find_spec("airflow.providers.openlineage") is None else ".emulator"
    for name in (*names, *_IMPORTED_LATE):
        if ".emulator" not in name and absent not in name:
            importlib.import_module(name)
    # What an object storage needs, where it is installed.
    with suppress(ImportError):
        for name in ("s3fs", "airflow.sdk.io", "airflow.providers.amazon.aws.fs.s3"):
            importlib.import_module(name)
    shared_ssl_context()
    os.environ["AIRFLOW_CONN_NOBODY"] = json.dumps({"conn_type": "segmind", "password": "none"})
    assert SegmindHook("nobody").config.api_key == "none"
    del os.environ["AIRFLOW_CONN_NOBODY"]


def _serve(life: int, descriptors: list[int]) -> None:
    """Serve until the other end of ``life`` is closed, by its owner or by its owner's end."""
    import pytest
    from crash_legs import quicken

    _import_all()
    quicken(pytest.MonkeyPatch())
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()
    for descriptor in descriptors:
        if os.fork() == 0:
            for other in (life, *descriptors):
                if other != descriptor:
                    os.close(other)
            with suppress(OSError):
                _serve_lane(socket.socket(fileno=descriptor))
            os._exit(0)
    for descriptor in descriptors:
        os.close(descriptor)
    os.read(life, 1)
    # All lanes, and legs that may be in the midst of waiting for a service that is gone.
    os.killpg(os.getpid(), signal.SIGKILL)


def _serve_lane(connection: socket.socket) -> None:
    """Forks a host for the first leg, and another one whenever a leg has died or is to be alone."""
    connection.sendall(_READY)
    host: tuple[int, socket.socket] | None = None
    for line in connection.makefile("rb"):
        if host is not None and json.loads(line)["alone"]:
            _part_with(*host)
            host = None
        pid, ours = host = host or _fork_host(connection)
        ours.sendall(line)
        answer = ours.recv(1)
        if answer:
            code = int(answer)
        else:
            code, host = _part_with(pid, ours), None
        connection.sendall(f"{code}\n".encode())
    if host is not None:
        _part_with(*host)


def _fork_host(connection: socket.socket) -> tuple[int, socket.socket]:
    """A process for legs, and the way to it."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        connection.close()
        ours.close()
        _be_a_host(theirs)
    theirs.close()
    return pid, ours


def _part_with(pid: int, connection: socket.socket) -> int:
    """Its exit code."""
    connection.close()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _be_a_host(connection: socket.socket) -> None:
    """Never returns. It lives on when a leg ends by an exception, as a triggerer does: nothing may linger."""
    from crash_legs import run_leg

    broken = 1
    try:
        for line in connection.makefile("rb"):
            job = json.loads(line)
            # A leg that hangs ends by this signal, which nobody takes for the kill.
            signal.alarm(_LONGEST_LEG)
            log = os.open(Path(job["home"]) / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(log)
            os.environ.update(job["environment"])
            code = b"0"
            try:
                run_leg(job)
            except BaseException:
                traceback.print_exc()
                code = b"1"
            signal.alarm(0)
            connection.sendall(code)
        broken = 0
    finally:
        os._exit(broken)


if __name__ == "__main__":
    given, *others = map(int, sys.argv[1:])
    _serve(given, others)
