"""The disk of a worker, by the same proofs as for object storage."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from slow_host import BEGINNING, SlowHost
from test_sizes import MOST
from test_writers_that_end import SEED, TIMES, end_at
from writers import Job, landed_by_a_writer, measured

from tests.protocol.file_host import answer, running_file_host

ENVIRONMENT = {"PATH": os.environ.get("PATH", "")}


@pytest.fixture(scope="module")
def film() -> Iterator[SlowHost]:
    # 20 MB in a good half of a second.
    with closing(SlowHost(pieces=300, pause=0.002)) as host:
        yield host


def job(url: str, folder: Path, request_id: str = "film") -> Job:
    return Job(ENVIRONMENT, url, f"file://{folder}/", request_id)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("size", [1024, 5 * 1024**2], ids=["1 KB", "5 MB"])
def test_each_byte_arrives(tmp_path, size):
    content = (BEGINNING * (size // len(BEGINNING) + 1))[:size]
    with running_file_host() as host:
        url = host.serve(answer(200, content, content_type="video/mp4"))
        landed = landed_by_a_writer(job(url, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    assert (tmp_path / "film.mp4").read_bytes() == content
    assert (landed["size"], landed["sha256"]) == (size, hashlib.sha256(content).hexdigest())


def test_a_large_file_passes_through_a_little_memory(tmp_path):
    with closing(SlowHost(pieces=10, pause=0)) as small, closing(SlowHost(pieces=3200, pause=0)) as large:
        wanted = hashlib.sha256(large.content).hexdigest()
        result = measured(job(small.url, tmp_path, "small"), job(large.url, tmp_path, "large"))
    assert result.landed["size"] == large.size > 200 * 1024**2
    assert result.landed["sha256"] == wanted == digest(tmp_path / "large.mp4")
    assert result.peak < MOST


@pytest.mark.parametrize("way", ["kill", "exception", "timeout"])
def test_nothing_but_the_whole_file_is_ever_seen_and_the_next_writer_lands_it(tmp_path, film, way):
    wanted = hashlib.sha256(film.content).hexdigest()
    undisturbed = landed_by_a_writer(job(film.url, tmp_path, "undisturbed"))
    moments = random.Random(f"{SEED} file {way}")
    for number in range(TIMES):
        folder = tmp_path / str(number)
        after = moments.uniform(0.001, undisturbed["seconds"])
        said = f"LTX_KILLS_SEED={SEED}: {way} after {after:.3f} s"
        end_at(job(film.url, folder), way, after)
        seen = sorted(folder.iterdir()) if folder.exists() else []
        whole = [path for path in seen if path.name == "film.mp4"]
        assert all(digest(path) == wanted for path in whole), said
        if way != "kill":
            assert seen == whole, said
        else:
            assert all(path.name.startswith(".airflow-ltx-") for path in set(seen) - set(whole)), said
        again = landed_by_a_writer(job(film.url, folder))
        assert (again["sha256"], digest(folder / "film.mp4")) == (wanted, wanted), said
        assert [path.name for path in folder.iterdir()] == ["film.mp4"], said
