"""A download that is cut off is resumed where the host can do that, and only where the bytes are the same."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_ltx.exceptions import DownloadFailed
from airflow_ltx.segmind.download import open_download
from airflow_ltx.segmind.reach import Reach
from airflow_ltx.segmind.stopping import Stopped
from tests.protocol.file_host import Answer, FileHost, Peer, answer, chunked, running_file_host

BODY = bytes(range(256)) * 3000
MP4 = {"content_type": "video/mp4", "etag": '"v1"'}
DATED = {"etag": "", "last_modified": "Mon, 23 Nov 2026 00:00:00 GMT"}
NEAR = Reach(plain=True, private=True)


@pytest.fixture(scope="module")
def one_host() -> Iterator[FileHost]:
    with running_file_host() as running:
        yield running


@pytest.fixture
def host(one_host: FileHost) -> FileHost:
    one_host.requests.clear()
    return one_host


def fetch(url: str, **options: Any) -> bytes:
    usual: dict[str, Any] = {"reach": NEAR, "timeout": 2.0, "sleep": lambda seconds: None}
    with open_download(url, **{**usual, **options}) as (_, chunks):
        return b"".join(chunks)


def cut(size: int, **headers: str) -> bytes:
    return answer(200, BODY[:size], length=len(BODY), **{**MP4, **headers})


def part(start: int, end: int | None = None, *, total: str | None = None, **headers: str) -> bytes:
    stop = len(BODY) if end is None else end
    told = f"bytes {start}-{len(BODY) - 1}/{total or len(BODY)}"
    return answer(206, BODY[start:stop], length=len(BODY) - start, content_range=told, **{**MP4, **headers})


def ranges(host: FileHost) -> list[str | None]:
    return [request.headers.get("range") for request in host.requests]


def test_what_is_missing_is_asked_for(host: FileHost) -> None:
    assert fetch(host.serve(cut(5000), part(5000, 9000), part(9000))) == BODY
    assert ranges(host) == [None, "bytes=5000-", "bytes=9000-"]
    assert [request.headers.get("if-range") for request in host.requests] == [None, '"v1"', '"v1"']


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cuts=st.lists(st.integers(1, len(BODY) - 1), unique=True, max_size=6).map(sorted))
def test_wherever_it_is_cut_the_bytes_are_the_same(one_host: FileHost, cuts: list[int]) -> None:
    ends = [*cuts, len(BODY)]
    parts = [part(start, end) for start, end in itertools.pairwise(ends)]
    assert fetch(one_host.serve(cut(ends[0]), *parts)) == BODY


def test_a_last_modified_date_will_do(host: FileHost) -> None:
    date = "Mon, 23 Nov 2026 00:00:00 GMT"
    dated = {"etag": "", "last_modified": date}
    url = host.serve(cut(5000, **dated), part(5000, **dated))
    assert fetch(url) == BODY
    assert host.requests[1].headers["if-range"] == date


def test_troubles_on_the_way_are_looked_through(host: FileHost) -> None:
    url = host.serve(cut(5000), answer(503), b"", answer(429), part(5000, 5001), part(5001))
    assert fetch(url) == BODY


def test_a_file_of_unknown_length_is_resumed_to_the_length_that_is_told_then(host: FileHost) -> None:
    assert fetch(host.serve(chunked(BODY[:5000], end=False, **MP4), part(5000))) == BODY


def test_a_file_whose_length_nobody_tells_is_not_whole_where_a_part_of_it_ends(host: FileHost) -> None:
    span = "bytes 5000-8999/*"
    capped = answer(206, BODY[5000:9000], content_range=span, **MP4)
    with pytest.raises(DownloadFailed, match="does not resume") as caught:
        fetch(host.serve(chunked(BODY[:5000], end=False, **MP4), capped))
    assert caught.value.transient is True


def test_a_weak_tag_that_stays_the_same_is_no_hindrance(host: FileHost) -> None:
    weak = {**DATED, "etag": 'W/"v1"'}
    assert fetch(host.serve(cut(5000, **weak), part(5000, **weak))) == BODY


@pytest.mark.parametrize(
    "then",
    [
        answer(200, BODY, **MP4),
        answer(416),
        part(5001),
        part(0),
        part(5000, total=str(len(BODY) + 1)),
        answer(206, BODY[5000:], **MP4),
        answer(206, BODY[5000:], content_range="lines 5000-/9", **MP4),
    ],
    ids=["whole", "no such range", "later", "from the start", "of another file", "no range", "nonsense"],
)
def test_another_part_than_the_missing_one_is_not_taken(host: FileHost, then: Answer) -> None:
    with pytest.raises(DownloadFailed, match="does not resume") as caught:
        fetch(host.serve(cut(5000), then))
    assert caught.value.transient is True
    assert len(host.requests) == 2


LATER = "Mon, 23 Nov 2026 00:00:01 GMT"


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({}, {"etag": '"v2"'}),
        ({}, {"etag": 'W/"v1"'}),
        ({}, {"etag": ""}),
        (DATED, {**DATED, "last_modified": LATER}),
        (DATED, {"etag": '"v1"'}),
        ({**DATED, "etag": 'W/"v1"'}, {**DATED, "etag": 'W/"v2"'}),
        ({**DATED, "etag": 'W/"v1"'}, {**DATED, "etag": '"v1"'}),
        ({}, {"content_type": "text/html"}),
        ({}, {"content_type": "Application/JSON; charset=utf-8"}),
        ({}, {"content_encoding": "gzip"}),
    ],
    ids=[
        "another", "weak", "none", "newer", "no date", "of the same second", "no longer weak", "a page",
        "a message", "packed",
    ],
)  # fmt: skip
def test_a_part_that_may_be_of_another_file_is_not_put_behind_this_one(
    host: FileHost, first: dict[str, str], then: dict[str, str]
) -> None:
    with pytest.raises(DownloadFailed, match="does not resume") as caught:
        fetch(host.serve(cut(5000, **first), part(5000, **then)))
    assert caught.value.transient is True
    assert len(host.requests) == 2


def test_a_total_that_is_no_size_of_a_file_is_not_read(host: FileHost) -> None:
    with pytest.raises(DownloadFailed, match="does not resume"):
        fetch(host.serve(cut(5000), part(5000, total="9" * 5000)))


@pytest.mark.parametrize("size", [0, 1])
def test_a_host_that_gives_next_to_nothing_is_asked_ever_more_rarely(host: FileHost, size: int) -> None:
    start = itertools.count(5000, size)

    def little(peer: Peer) -> None:
        begin = next(start)
        if len(host.requests) > 100:
            peer.send(answer(404))
        peer.send(part(begin, begin + size))

    pauses: list[float] = []
    with pytest.raises(DownloadFailed):
        fetch(
            host.serve(cut(5000), little),
            deadline=time.time() + 120,
            clock=lambda: time.time() + sum(pauses),
            sleep=pauses.append,
        )
    assert len(host.requests) < 30
    assert sum(pauses) > 90


def test_a_download_that_is_not_wanted_any_more_asks_for_nothing(host: FileHost) -> None:
    stop = threading.Event()

    def last(peer: Peer) -> None:
        peer.send(cut(5000))
        stop.set()

    with pytest.raises(Stopped):
        fetch(host.serve(last, part(5000)), stop=stop)
    assert len(host.requests) == 1


def silent(peer: Peer) -> None:
    peer.stall(60)


def silent_soon(peer: Peer) -> None:
    peer.send(cut(5000))
    peer.stall(60)


def silent_later(peer: Peer) -> None:
    peer.send(part(5000, 6000))
    peer.stall(60)


@pytest.mark.parametrize(
    "answers",
    [[silent], [silent_soon], [cut(5000), silent], [cut(5000), silent_later]],
    ids=["before it begins", "in between", "before it goes on", "later"],
)
def test_a_silent_host_holds_up_nobody_who_does_not_want_the_file_any_more(
    host: FileHost, answers: list[Answer]
) -> None:
    stop = threading.Event()
    timer = threading.Timer(0.5, stop.set)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(Stopped):
        fetch(host.serve(*answers), timeout=30.0, stop=stop)
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize("why", ["not wanted", "too late"])
def test_a_file_without_a_length_is_not_whole_because_it_was_cut(host: FileHost, why: str) -> None:
    stop = threading.Event()

    def unending(peer: Peer) -> None:
        peer.send(answer(200, BODY[:5000], length=-1, **MP4))
        if why == "not wanted":
            stop.set()
        peer.stall(60)

    url = host.serve(unending, answer(404))
    with pytest.raises(Stopped if why == "not wanted" else DownloadFailed):
        fetch(url, timeout=30.0, stop=stop, deadline=time.time() + (60 if why == "not wanted" else 1))


def test_a_clock_that_steps_back_makes_no_file_whole(host: FileHost) -> None:
    begun = time.time()

    def clock() -> float:
        return time.time() - (5 if time.time() > begun + 0.5 else 0)

    def unending(peer: Peer) -> None:
        peer.send(answer(200, BODY[:5000], length=-1, content_type="video/mp4"))
        peer.stall(60)

    with pytest.raises(DownloadFailed, match="too slow") as caught:
        fetch(host.serve(unending), timeout=30.0, deadline=begun + 1, clock=clock)
    assert caught.value.transient is True


@pytest.mark.parametrize("headers", [{"etag": ""}, {"etag": 'W/"v1"'}])
def test_without_a_strong_validator_nothing_is_resumed(host: FileHost, headers: dict[str, str]) -> None:
    with pytest.raises(DownloadFailed, match="5000 bytes") as caught:
        fetch(host.serve(cut(5000, **headers), part(5000)))
    assert caught.value.transient is True
    assert len(host.requests) == 1


def test_a_link_that_expired_meanwhile_ends_it(host: FileHost) -> None:
    with pytest.raises(DownloadFailed, match="HTTP 403") as caught:
        fetch(host.serve(cut(5000), answer(403)))
    assert caught.value.transient is False


def test_the_deadline_ends_it(host: FileHost) -> None:
    begun = time.monotonic()
    with pytest.raises(DownloadFailed):
        fetch(host.serve(cut(5000), answer(503)), deadline=time.time() + 0.5, sleep=time.sleep)
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    ("raw", "asked"),
    [(answer(200, BODY, **MP4), 0), (answer(200, BODY, length=-1, **MP4), 1)],
    ids=["announced", "not announced"],
)
def test_a_file_above_the_limit_is_refused(host: FileHost, raw: bytes, asked: int) -> None:
    got: list[bytes] = []
    with (
        pytest.raises(DownloadFailed, match=re.escape("more than 100000 bytes")) as caught,
        open_download(host.serve(raw), reach=NEAR, max_bytes=100_000) as (_, chunks),
    ):
        got.extend(chunks)
    assert caught.value.transient is False
    assert sum(map(len, got)) <= 100_000
    assert bool(got) is bool(asked)


def test_a_file_of_the_limit_is_taken(host: FileHost) -> None:
    assert fetch(host.serve(answer(200, BODY, **MP4)), max_bytes=len(BODY)) == BODY
