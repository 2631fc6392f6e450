"""Small, usual and large files: the same bytes, in the same little memory."""

from __future__ import annotations

import hashlib
from contextlib import closing

import pytest
from slow_host import BEGINNING, SlowHost
from writers import Job, landed_by_a_writer, measured

from tests.protocol.file_host import answer, running_file_host

MOST = 64.0
"""MiB above idle."""


@pytest.mark.parametrize("size", [1024, 5 * 1024**2], ids=["1 KB", "5 MB"])
def test_each_byte_arrives(store, size):
    content = (BEGINNING * (size // len(BEGINNING) + 1))[:size]
    with running_file_host() as host:
        url = host.serve(answer(200, content, content_type="video/mp4"))
        landed = landed_by_a_writer(Job(store.environment, url, store.uri("v/film.mp4"), "film"))
    assert store.names() == ["v/film.mp4"]
    assert store.read("v/film.mp4") == content
    assert (landed["size"], landed["sha256"]) == (size, hashlib.sha256(content).hexdigest())


def test_a_large_file_passes_through_a_little_memory(store):
    with closing(SlowHost(pieces=10, pause=0)) as small, closing(SlowHost(pieces=3200, pause=0)) as large:
        digest = hashlib.sha256(large.content).hexdigest()
        jobs = [
            Job(store.environment, host.url, store.uri("v/"), name)
            for host, name in ((small, "small"), (large, "large"))
        ]
        result = measured(*jobs)
    assert result.landed["size"] == large.size > 200 * 1024**2
    assert result.landed["sha256"] == digest
    assert hashlib.sha256(store.read("v/large.mp4")).hexdigest() == digest
    assert result.peak < MOST
