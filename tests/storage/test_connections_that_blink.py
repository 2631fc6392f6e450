"""A connection that cannot be read for a moment, while a file that is paid for is on its way."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from airflow_ltx.landing import filesystems
from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.place import Attributes, Limits, place_of

NAME = "v/clip.mp4"
LARGE = 20 * 1024**2


@pytest.fixture(autouse=True)
def _own_connections(monkeypatch):
    monkeypatch.setattr(filesystems, "_entries", {})


@pytest.fixture
def blink(monkeypatch) -> Callable[[], None]:
    """Long after the connection was read, nobody knows it any more."""

    def blink() -> None:
        # As after a permission error of another landing: there is nothing to go on with.
        filesystems._entries.clear()
        monkeypatch.delenv("AIRFLOW_CONN_STORE")

    return blink


@pytest.mark.parametrize("size", [5000, LARGE], ids=["small", "large"])
def test_an_upload_ends_by_the_connection_that_it_began_with(store, blink, size):
    content = os.urandom(size)
    with place_of(parse_destination(store.uri(NAME))).upload(NAME, Attributes(None, "the-id")) as upload:
        upload.write(content[: size // 2])
        blink()
        upload.write(content[size // 2 :])
        upload.publish(replace=False)
    assert store.read(NAME) == content
    assert store.unfinished_uploads() == []


@pytest.mark.parametrize("store", ["ministack", "rgw"], indirect=True)
def test_an_upload_that_is_given_up_is_ended_by_it_too(store, blink):
    def write() -> None:
        with place_of(parse_destination(store.uri(NAME))).upload(NAME, Attributes(None, "the-id")) as upload:
            upload.write(bytes(LARGE))
            blink()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert store.names() == []
    assert store.unfinished_uploads() == []


@pytest.mark.parametrize("store", ["ministack"], indirect=True)
def test_a_file_that_has_its_name_is_landed_whatever_comes_after(store, blink, monkeypatch):
    place = place_of(parse_destination(store.uri(NAME)))

    def nowhere(work, loop):
        work.close()
        raise RuntimeError("the loop of the client is closed")

    with place.upload(NAME, Attributes(None, "the-id")) as upload:
        upload.write(b"content")
        upload.publish(replace=False)
        blink()
        monkeypatch.setattr("asyncio.run_coroutine_threadsafe", nowhere)
    assert store.read(NAME) == b"content"


@pytest.mark.parametrize("store", ["ministack"], indirect=True)
def test_a_stop_that_comes_after_it_changes_nothing(store):
    limits = Limits(deadline=time.time() + 20)
    place = place_of(parse_destination(store.uri(NAME)), limits)
    with place.upload(NAME, Attributes(None, "the-id")) as upload:
        upload.write(b"content")
        upload.publish(replace=False)
        limits.stop.set()
    assert store.read(NAME) == b"content"
