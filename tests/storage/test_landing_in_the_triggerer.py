"""Landings beside a running event loop: stopped cleanly, a few at a time, never in its way."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from slow_host import BEGINNING, PIECE, SlowHost

from airflow_ltx.landing import filesystems
from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.place import Attributes, place_of
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.models import Output, RequestResult
from airflow_ltx.triggers import landing as triggerer
from airflow_ltx.triggers.landing import land_here
from tests.protocol.file_host import Peer, answer, running_file_host

LOG = logging.getLogger(__name__)


@pytest.fixture(autouse=True)
def _own_connections(monkeypatch):
    monkeypatch.setattr(filesystems, "_entries", {})


@pytest.fixture
def slow() -> Iterator[SlowHost]:
    # 12 MB: more than one part, in some four seconds.
    with closing(SlowHost(pieces=190, pause=0.02)) as host:
        yield host


@pytest.fixture
def long() -> Iterator[SlowHost]:
    # 26 MB: parts are still to come when the first is up.
    with closing(SlowHost(pieces=400, pause=0.01)) as host:
        yield host


@pytest.fixture
def quick() -> Iterator[SlowHost]:
    with closing(SlowHost(pieces=4, pause=0.05)) as host:
        yield host


def landing(store, host: SlowHost | str, request_id: str = "the-id"):
    wish = Wish(parse_destination(f"{store.scheme}://store@{store.bucket}/v/"), media="video")
    url = host if isinstance(host, str) else host.url
    result = RequestResult(request_id, (Output(url),))
    config = ClientConfig(api_key="SG_0123456789abcdef", base_url="http://127.0.0.1:1")
    return land_here(wish.to_json(), result, "ltx-video", config, LOG)


async def test_a_landing_that_is_cancelled_leaves_nothing_and_the_next_one_lands(store, slow):
    task = asyncio.create_task(landing(store, slow))
    # The first part is on its way by then.
    await asyncio.sleep(3.0)
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 5
    assert store.names() == []
    if store.scheme == "s3":
        assert store.unfinished_uploads() == []
    (landed,), obstacle = await landing(store, slow)
    assert obstacle is None
    assert store.read("v/the-id.mp4") == slow.content
    assert landed["sha256"] == hashlib.sha256(slow.content).hexdigest()


def falls_silent(peer: Peer) -> None:
    content = BEGINNING + PIECE * 160
    peer.send(answer(200, content, length=2 * len(content), content_type="video/mp4", etag='"v1"'))
    peer.stall(60)


async def test_a_silent_host_holds_up_no_landing_that_is_cancelled(store):
    with running_file_host() as host:
        url = host.serve(falls_silent)
        task = asyncio.create_task(landing(store, url))
        await asyncio.sleep(3.0)
        begun = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - begun < 5
        assert len(host.requests) == 1
    assert store.names() == []
    if store.scheme == "s3":
        assert store.unfinished_uploads() == []


@pytest.mark.parametrize("store", ["ministack"], indirect=True)
async def test_twenty_landings_take_turns_and_leave_the_loop_alone(store, quick):
    longest = 0.0

    async def heartbeat() -> None:
        nonlocal longest
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - begun - 0.01)

    await landing(store, quick, "first")
    beat = asyncio.create_task(heartbeat())
    done = await asyncio.gather(*(landing(store, quick, f"id-{number}") for number in range(20)))
    beat.cancel()
    assert [obstacle for _, obstacle in done] == [None] * 20
    assert len(store.names()) == 21
    assert 2 <= quick.most <= 4
    assert longest < 0.5


@pytest.mark.parametrize("store", ["ministack"], indirect=True)
async def test_what_stands_in_the_way_is_told_and_not_raised(store, quick, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_STORE")
    landed, obstacle = await landing(store, quick)
    assert landed == ()
    assert "The connection 'store' of the destination does not exist" in str(obstacle)


@pytest.mark.parametrize("store", ["ministack", "rgw"], indirect=True)
async def test_a_landing_whose_upload_was_ended_by_another_one_begins_anew(store, long):
    def another() -> None:
        while not store.unfinished_uploads():
            time.sleep(0.05)
        place = place_of(parse_destination(store.uri("v/")))
        with place.upload("v/the-id.mp4", Attributes(None, "the-id")) as upload:
            upload.write(long.content)
            upload.publish(replace=False)
        assert store.unfinished_uploads() == []
        long.pause = 0.0

    task = asyncio.create_task(landing(store, long))
    await asyncio.to_thread(another)
    (landed,), obstacle = await task
    assert obstacle is None
    assert store.read("v/the-id.mp4") == long.content
    assert landed["sha256"] == hashlib.sha256(long.content).hexdigest()
    assert store.unfinished_uploads() == []


def open_here(uri: str) -> None:
    """Prepare for a destination, and wait until that is done."""
    triggerer.prepare(Wish(parse_destination(uri)).to_json())
    triggerer._executor().submit(lambda: None).result(30)


@pytest.fixture
def one_at_a_time(monkeypatch):
    with ThreadPoolExecutor(1) as executor:
        monkeypatch.setattr(triggerer, "_executor", lambda: executor)
        monkeypatch.setattr(triggerer, "_prepared", set())
        yield
    gc.unfreeze()


def test_a_storage_is_opened_once_before_anything_lands(store, one_at_a_time):
    uri = f"{store.scheme}://store@{store.bucket}/v/"
    open_here(uri)
    (entry,) = filesystems._entries.values()
    assert entry.fs is not None
    assert gc.get_freeze_count()
    filesystems._entries.clear()
    open_here(uri)
    assert not filesystems._entries


def test_a_storage_that_cannot_be_opened_holds_up_nothing(one_at_a_time):
    open_here("s3://no_such_connection@bucket/v/")
    assert all(entry.fs is None for entry in filesystems._entries.values())
