"""File hosts that break off, lie or never end: nothing of it is seen in the bucket, and a good answer is."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import pytest
from slow_host import BEGINNING, PIECE

from airflow_ltx.exceptions import DownloadFailed
from airflow_ltx.landing import filesystems
from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.land import Landed, land
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind.models import Output
from airflow_ltx.segmind.reach import Reach
from tests.protocol.file_host import FileHost, Peer, answer, chunked, running_file_host

EACH = pytest.mark.parametrize("store", ["ministack", "azurite", "gcs", "rgw"], indirect=True)
TWO = pytest.mark.parametrize("store", ["ministack", "azurite"], indirect=True)
"""Where what is waited for is the file host."""

# More than one part, so that something is up when it goes wrong.
BODY = BEGINNING + PIECE * 160
MP4 = {"content_type": "video/mp4"}
PAGE = b"<!doctype html><html><body>Sign in</body></html>"
NEAR = Reach(plain=True, private=True)


@pytest.fixture(autouse=True)
def _own_connections(monkeypatch):
    monkeypatch.setattr(filesystems, "_entries", {})


@pytest.fixture
def host() -> Iterator[FileHost]:
    with running_file_host() as running:
        yield running


def landing(store, url: str, *, seconds: float = 20.0, max_bytes: int = 2**31) -> Landed:
    wish = Wish(parse_destination(store.uri("v/")), media="video", max_bytes=max_bytes)
    # The pauses between attempts are not waited for.
    return land(
        Output(url), wish, "film", reach=NEAR, deadline=time.time() + seconds, sleep=lambda pause: None
    )


def check_nothing_is_there(store) -> None:
    assert store.names() == []
    if store.scheme == "s3":
        assert store.unfinished_uploads() == []


def reset(peer: Peer) -> None:
    peer.send(answer(200, BODY[: len(BODY) // 2 + 100_000], length=len(BODY), **MP4))
    raise ConnectionResetError


def endless(peer: Peer) -> None:
    peer.send(answer(200, BEGINNING, length=-1, **MP4))
    while True:
        peer.send(PIECE)


def dripping(peer: Peer) -> None:
    peer.send(answer(200, BODY[:-100], length=len(BODY), **MP4))
    peer.drip(BODY[-100:], every=0.3)


BROKEN = {
    "truncated": answer(200, BODY[:-5000], length=len(BODY), **MP4),
    "reset": reset,
    "chunks that break off": chunked(BODY[:-5000], end=False, **MP4),
    "a page": answer(200, PAGE, content_type="text/html"),
    "a page that calls itself a video": answer(200, PAGE, **MP4),
    "garbage that calls itself a video": answer(200, PIECE * 160, **MP4),
    "zeros that call themselves a video": answer(200, bytes(len(BODY)), **MP4),
    "words that call themselves a video": answer(200, b"Internal Server Error", **MP4),
    "a picture": answer(200, b"\x89PNG\r\n\x1a\n" + PIECE, content_type="image/png"),
    "nothing": answer(200, b"", **MP4),
    "an error": answer(503, PAGE, content_type="text/html"),
}


@EACH
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_after_a_bad_answer_comes_the_whole_file(store, host, broken):
    landed = landing(store, host.serve(broken, answer(200, BODY, **MP4)))
    assert landed.sha256 == hashlib.sha256(BODY).hexdigest()
    assert store.names() == ["v/film.mp4"]
    assert store.read("v/film.mp4") == BODY
    assert len(host.requests) == 2
    if store.scheme == "s3":
        assert store.unfinished_uploads() == []


@TWO
@pytest.mark.parametrize("broken", ["truncated", "a page that calls itself a video"])
def test_of_a_host_that_never_gives_the_file_nothing_is_seen(store, host, broken):
    with pytest.raises(DownloadFailed, match="film is paid for") as caught:
        landing(store, host.serve(BROKEN[broken]), seconds=3.0)
    assert caught.value.retryable is True
    assert len(host.requests) > 1
    check_nothing_is_there(store)


@TWO
def test_chunks_without_a_length_are_a_whole_file_if_they_end(store, host):
    landed = landing(store, host.serve(chunked(BODY[:50_000], BODY[50_000:], **MP4)))
    assert (landed.size, store.read("v/film.mp4")) == (len(BODY), BODY)


@TWO
def test_what_follows_the_announced_length_is_not_of_the_file(store, host):
    # HTTP ends a body at its length; hosts that count wrongly cannot be told from ones that talk on.
    landed = landing(store, host.serve(answer(200, BODY + PAGE, length=len(BODY), **MP4)))
    assert (landed.size, store.read("v/film.mp4")) == (len(BODY), BODY)


@TWO
def test_a_file_that_drips_beyond_the_deadline_is_given_up(store, host):
    began = time.monotonic()
    with pytest.raises(DownloadFailed):
        landing(store, host.serve(dripping), seconds=4.0)
    assert time.monotonic() - began < 15
    check_nothing_is_there(store)


@TWO
def test_a_file_without_an_end_is_given_up_at_its_limit(store, host):
    with pytest.raises(DownloadFailed, match="max_bytes") as caught:
        landing(store, host.serve(endless), max_bytes=20 * 1024**2)
    assert caught.value.transient is False
    check_nothing_is_there(store)


@EACH
def test_a_part_of_another_file_is_not_put_behind_this_ones_beginning(store, host):
    half = len(BODY) // 2
    begun = answer(200, BODY[:half], length=len(BODY), etag='"v1"', **MP4)
    other = answer(
        206,
        bytes(len(BODY) - half),
        content_range=f"bytes {half}-{len(BODY) - 1}/{len(BODY)}",
        etag='"v2"',
        **MP4,
    )
    landed = landing(store, host.serve(begun, other, answer(200, BODY, etag='"v2"', **MP4)))
    assert landed.sha256 == hashlib.sha256(BODY).hexdigest()
    assert store.read("v/film.mp4") == BODY


@TWO
@pytest.mark.parametrize("other", ['"v2"', '"v1"'], ids=["another file's", "not where it was asked for"])
def test_a_rest_that_does_not_fit_is_not_taken(store, host, other):
    half = len(BODY) // 2
    told = {**MP4, "etag": '"v1"'}
    begun = answer(200, BODY[:half], length=len(BODY), **told)
    start = half if other == '"v2"' else half + 7
    of_another = bytes(len(BODY) - start)
    spoilt = answer(
        206 if other == '"v1"' else 200,
        of_another,
        content_range=f"bytes {start}-{len(BODY) - 1}/{len(BODY)}",
        **{**MP4, "etag": other},
    )
    landed = landing(store, host.serve(begun, spoilt, answer(200, BODY, **told)))
    assert landed.sha256 == hashlib.sha256(BODY).hexdigest()
    assert store.read("v/film.mp4") == BODY


@EACH
def test_a_file_that_is_cut_off_is_resumed_into_the_same_upload(store, host):
    half = len(BODY) // 2
    told = {**MP4, "etag": '"v1"'}
    rest = answer(206, BODY[half:], content_range=f"bytes {half}-{len(BODY) - 1}/{len(BODY)}", **told)
    landed = landing(store, host.serve(answer(200, BODY[:half], length=len(BODY), **told), rest))
    assert landed.sha256 == hashlib.sha256(BODY).hexdigest()
    assert store.read("v/film.mp4") == BODY
    assert [request.headers.get("range") for request in host.requests] == [None, f"bytes={half}-"]
