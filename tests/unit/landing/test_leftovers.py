"""What killed writers leave on a disk goes with the next file; what a living one is writing stays."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.place import Attributes, place_of
from airflow_ltx.segmind import temporary
from airflow_ltx.segmind.whole_file import WholeFile

HOURS = 3600
WRITER = (
    "import sys, time; from pathlib import Path\n"
    "from airflow_ltx.segmind.whole_file import WholeFile\n"
    "with WholeFile(Path(sys.argv[1])) as file:\n"
    "    file.write(b'half'); print('begun', flush=True); time.sleep(60)\n"
)


def parts(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".airflow-ltx-")]


@contextmanager
def writer(target: Path) -> Iterator[Path]:
    """A writer in a process of its own, killed at the end; its part."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, target], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        try:
            assert process.stdout.readline() == "begun\n"
            (part,) = parts(target.parent)
            yield part
        finally:
            process.kill()
            process.wait(30)


def put(folder: Path, name: str = "next.mp4") -> None:
    """As a landing does."""
    path = str(folder / name)
    with place_of(parse_destination(f"file://{path}")).upload(path, Attributes(None, "id")) as upload:
        upload.write(b"whole")
        upload.publish(replace=True)


def of_another_machine(folder: Path, *, age: float) -> Path:
    part = folder / f".airflow-ltx-{'0' * 32}-{uuid.uuid4().hex}.part"
    part.write_bytes(b"half")
    os.utime(part, (time.time() - age, time.time() - age))
    return part


def test_what_a_killed_writer_left_is_gone_with_the_next_file(tmp_path: Path) -> None:
    with writer(tmp_path / "v.mp4") as part:
        put(tmp_path)
        assert part.exists()
    assert part.exists()
    put(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["next.mp4"]


def test_it_is_gone_with_the_next_record_too(tmp_path: Path) -> None:
    with writer(tmp_path / "v.json"):
        pass
    place_of(parse_destination(f"file://{tmp_path}/")).write(str(tmp_path / "v.json"), b"{}", "")
    assert [path.name for path in tmp_path.iterdir()] == ["v.json"]


@pytest.mark.parametrize("age", [-2 * HOURS, 0, 2 * HOURS])
def test_a_living_writers_part_stays_whatever_its_age(tmp_path: Path, age: float) -> None:
    with WholeFile(tmp_path / "v.mp4") as file:
        file.write(b"half")
        (part,) = parts(tmp_path)
        os.utime(part, (time.time() - age, time.time() - age))
        put(tmp_path)
        file.publish()
    assert (tmp_path / "v.mp4").read_bytes() == b"half"
    assert parts(tmp_path) == []


@pytest.mark.parametrize(("age", "stays"), [(-2 * HOURS, True), (HOURS / 2, True), (2 * HOURS, False)])
def test_of_another_machine_it_goes_once_nobody_has_written_to_it_for_an_hour(
    tmp_path: Path, age: float, stays: bool
) -> None:
    of_another_machine(tmp_path, age=-3 * HOURS)
    part = of_another_machine(tmp_path, age=age)
    put(tmp_path)
    put(tmp_path)
    assert part.exists() is stays


def test_without_locks_it_goes_by_its_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", flock)
        with WholeFile(tmp_path / "v.mp4") as file:
            (living,) = parts(tmp_path)
            put(tmp_path)
            assert living.exists()
            file.publish()
    with WholeFile(tmp_path / "w.mp4"):
        (living,) = parts(tmp_path)
        # A writer that has a lock, and one that finds none.
        monkeypatch.setattr(fcntl, "flock", flock)
        put(tmp_path)
        assert living.exists()
        long_ago = time.time() - temporary.DEAD_AFTER - 60
        os.utime(living, (long_ago, long_ago))
        put(tmp_path)
        assert not living.exists()
