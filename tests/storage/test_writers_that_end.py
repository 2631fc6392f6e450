"""Writers that are killed, stopped by an exception, or by `execution_timeout`, at random moments."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from servers.store import Store
from slow_host import BEGINNING, PIECE, SlowHost
from writers import Job, Writer, landed_by_a_writer

from tests.protocol.file_host import Peer, answer, running_file_host

TIMES = int(os.environ.get("LTX_KILLS", "5"))
SEED = int(os.environ.get("LTX_KILLS_SEED") or time.time_ns() % 1_000_000)
"""Said in what fails, and may be given."""


@pytest.fixture(scope="module")
def film() -> Iterator[SlowHost]:
    # 20 MB, three parts, in a good half of a second.
    with closing(SlowHost(pieces=300, pause=0.002)) as host:
        yield host


def job(store: Store, film: SlowHost, request_id: str) -> Job:
    return Job(store.environment, film.url, store.uri("v/"), request_id)


def end_at(job: Job, way: str, after: float) -> None:
    writer = Writer(job, way, after)
    if way == "kill":
        time.sleep(after)
        writer.kill()
        return
    writer.told()
    writer.close()


@pytest.mark.parametrize("store", ["ministack", "azurite"], indirect=True)
def test_a_silent_host_holds_up_no_writer_whose_time_is_over(store):
    def falls_silent(peer: Peer) -> None:
        content = BEGINNING + PIECE * 160
        peer.send(answer(200, content, length=2 * len(content), content_type="video/mp4"))
        peer.stall(60)

    with running_file_host() as host:
        writer = Writer(
            Job(store.environment, host.serve(falls_silent), store.uri("v/"), "film"), "timeout", 3
        )
        begun = time.monotonic()
        assert writer.told()["error"] == "AirflowTaskTimeout"
        writer.close()
        assert time.monotonic() - begun < 8
    assert store.names() == []
    if store.scheme == "s3":
        assert store.unfinished_uploads() == []


@pytest.mark.parametrize("way", ["kill", "exception", "timeout"])
def test_nothing_but_the_whole_file_is_ever_seen_and_the_next_writer_lands_it(store, film, way):
    digest = hashlib.sha256(film.content).hexdigest()
    undisturbed = landed_by_a_writer(job(store, film, "undisturbed"))
    assert undisturbed["sha256"] == digest
    moments = random.Random(f"{SEED} {store.kind} {way}")
    for number in range(TIMES):
        mine = job(store, film, f"film-{number}")
        name = f"v/film-{number}.mp4"
        seen = set(store.names())
        after = moments.uniform(0.001, undisturbed["seconds"])
        said = f"LTX_KILLS_SEED={SEED}: {way} after {after:.3f} s"
        end_at(mine, way, after)
        if name in store.names():
            assert hashlib.sha256(store.read(name)).hexdigest() == digest, said
        if way != "kill":
            # Blocks of Azure that nobody commits, and sessions of GCS, are seen by no reader and go away.
            assert set(store.names()) <= seen | {name}, said
            assert store.scheme != "s3" or store.unfinished_uploads() == [], said
        again = landed_by_a_writer(mine)
        assert (again["sha256"], again["size"]) == (digest, film.size), said
        assert hashlib.sha256(store.read(name)).hexdigest() == digest, said
        if store.scheme == "s3":
            assert store.unfinished_uploads() == [], said
