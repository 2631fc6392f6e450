"""Processes that land one file: forked from one in which all is imported, so that a start costs nothing.

Their parent has no threads and no file system, as an Airflow worker's has none.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from airflow.sdk.execution_time.timeout import timeout
from servers.fake_gcs import FakeGcs

from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.in_thread import in_thread
from airflow_ltx.landing.land import land
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind.models import Output
from airflow_ltx.segmind.reach import Reach

_PRELOADED = [
    "airflow_ltx.landing.land",
    "airflow_ltx.landing.remote_place",
    *(f"airflow_ltx.landing.{backend}" for backend in ("s3", "gcs", "azure")),
    "airflow.sdk.io",
    "airflow.sdk.execution_time.timeout",
    "airflow.providers.amazon.aws.fs.s3",
    "airflow.providers.google.cloud.fs.gcs",
    "airflow.providers.microsoft.azure.fs.adls",
    "adlfs",
    "gcsfs",
    "s3fs",
]
# Read when gcsfs is imported, which is before a job brings its environment.
os.environ.update(FakeGcs.environment)
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(_PRELOADED)


@dataclass(frozen=True)
class Job:
    """What a writer is to land. ``environment`` has the connection."""

    environment: Mapping[str, str]
    url: str
    destination: str
    request_id: str

    def land(self) -> dict[str, Any]:
        """As a worker lands."""
        wish = Wish(parse_destination(self.destination), media="video")
        reach = Reach(plain=True, private=True)
        landed = in_thread(lambda stop: land(Output(self.url), wish, self.request_id, reach=reach, stop=stop))
        return landed.to_json()


class Ended(Exception):
    """What is thrown into a writer."""


class Writer:
    """A writer that has begun."""

    def __init__(self, job: Job, way: str, after: float) -> None:
        self._pipe, theirs = _FORKING.Pipe()
        self._process = _FORKING.Process(target=_write, args=(job, way, after, theirs), daemon=True)
        self._process.start()
        theirs.close()
        assert self.told() == "begun"

    def told(self) -> Any:
        """What it says next; None if it is gone."""
        try:
            return self._pipe.recv()
        except EOFError:
            return None

    def kill(self) -> None:
        """End it with -9."""
        self._process.kill()
        self.close()

    def close(self) -> None:
        self._process.join(60)
        assert self._process.exitcode is not None, "the writer does not end"
        self._pipe.close()


def _write(job: Job, way: str, after: float, pipe: Connection) -> None:
    os.environ.update(job.environment)
    # Of pytest's standard output there is one.
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    pipe.send("begun")
    began = time.monotonic()
    try:
        with _ended(way, after):
            landed = job.land()
    except BaseException as error:
        pipe.send({"error": type(error).__name__, "text": str(error)})
        return
    pipe.send({**landed, "seconds": time.monotonic() - began})


@contextmanager
def _ended(way: str, after: float) -> Iterator[None]:
    if way == "timeout":
        with timeout(after):
            yield
        return
    if way == "exception":
        signal.signal(signal.SIGALRM, _throw)
        signal.setitimer(signal.ITIMER_REAL, after)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _throw(*_: object) -> None:
    raise Ended


def landed_by_a_writer(job: Job) -> dict[str, Any]:
    """Land undisturbed; as ``Landed.to_json``, with the seconds it took."""
    writer = Writer(job, "kill", 0.0)
    told = writer.told()
    writer.close()
    assert "error" not in told, told
    return told


class Copying(Protocol):
    """What can be measured: a :class:`Job`, or a copy that is compared with it."""

    @property
    def environment(self) -> Mapping[str, str]: ...
    def land(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Measured:
    """A landing's answer, its seconds, and by how many MiB its peak was above what the process had before."""

    landed: dict[str, Any]
    seconds: float
    peak: float


def measured(small: Copying, large: Copying) -> Measured:
    """Land a small file, then a large one, which is measured, in one process."""
    ours, theirs = _FORKING.Pipe()
    process = _FORKING.Process(target=_measure, args=(small, large, theirs), daemon=True)
    process.start()
    theirs.close()
    result: Measured = ours.recv()
    process.join(60)
    return result


def _measure(small: Copying, large: Copying, pipe: Connection) -> None:
    os.environ.update(small.environment)
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    small.land()
    # The peak of what came before is forgotten.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    idle = _kib("VmRSS")
    began = time.monotonic()
    landed = large.land()
    seconds = time.monotonic() - began
    pipe.send(Measured(landed, seconds, (_kib("VmHWM") - idle) / 1024))


def _kib(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
