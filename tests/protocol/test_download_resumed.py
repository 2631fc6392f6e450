"""A download that is cut off is resumed where the host can do that, and only where the bytes are the same."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_ltx.exceptions import DownloadFailed
from airflow_ltx.segmind.download import open_download
from airflow_ltx.segmind.reach import Reach
from tests.protocol.file_host import Answer, FileHost, Peer, answer, running_file_host

BODY = bytes(range(256)) * 3000
MP4 = {"content_type": "video/mp4", "etag": '"v1"'}
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
    url = host.serve(cut(5000, etag="", last_modified=date), part(5000))
    assert fetch(url) == BODY
    assert host.requests[1].headers["if-range"] == date


def test_troubles_on_the_way_are_looked_through(host: FileHost) -> None:
    url = host.serve(cut(5000), answer(503), b"", answer(429), part(5000, 5001), part(5001))
    assert fetch(url) == BODY


def test_a_file_of_unknown_length_is_resumed_to_the_length_that_is_told_then(host: FileHost) -> None:
    def breaks(peer: Peer) -> None:
        head = answer(200, b"", length=-1, transfer_encoding="chunked", **MP4)
        peer.send(head + b"1388\r\n" + BODY[:5000] + b"\r\n")

    assert fetch(host.serve(breaks, part(5000))) == BODY


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
