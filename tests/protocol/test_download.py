from __future__ import annotations

import base64
import gzip
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_ltx.exceptions import DestinationError, DownloadFailed, SegmindError
from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.land import Landed, land
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind import transport
from airflow_ltx.segmind.client import SegmindClient
from airflow_ltx.segmind.download import MOST_REDIRECTS, Announced, open_download
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.models import Output
from airflow_ltx.segmind.reach import Reach
from airflow_ltx.segmind.retry import ONCE
from tests.protocol.file_host import Answer, FileHost, Peer, answer, chunked, running_file_host

BODY = bytes(range(256)) * 3000
MP4 = {"content_type": "video/mp4"}
NEAR = Reach(plain=True, private=True)


@pytest.fixture
def host() -> Iterator[FileHost]:
    with running_file_host() as running:
        yield running


def fetch(url: str, **options: Any) -> tuple[Announced, bytes]:
    with open_download(url, **{"reach": NEAR, "timeout": 2.0, **options}) as (announced, chunks):
        return announced, b"".join(chunks)


class Sleeps(list[float]):
    """Sleeps that pass at once, on a clock of their own."""

    def clock(self) -> float:
        return time.time() + sum(self)


def landing(url: str, folder: Path, *, limit: float = 60.0, output: Output | None = None) -> Landed:
    sleeps = Sleeps()
    wish = Wish(parse_destination(f"file://{folder}/"))
    return land(
        output or Output(url),
        wish,
        "the-id",
        reach=NEAR,
        deadline=time.time() + limit,
        clock=sleeps.clock,
        sleep=sleeps.append,
    )


@pytest.mark.parametrize(
    ("raw", "length"),
    [
        (answer(200, BODY, **MP4), len(BODY)),
        (chunked(BODY[:1000], BODY[1000:], **MP4), None),
        (answer(200, BODY, length=-1, **MP4), None),
        (answer(200, BODY, content_encoding="", **MP4), len(BODY)),
        (answer(200, BODY, content_encoding="Identity, identity", **MP4), len(BODY)),
    ],
    ids=["length", "chunked", "until closed", "encoded as nothing", "twice as it is"],
)
def test_a_whole_file_is_read_whatever_its_framing(host: FileHost, raw: bytes, length: int | None) -> None:
    announced, got = fetch(host.serve(raw))
    assert got == BODY
    assert announced == Announced("video/mp4", length)


def test_the_bytes_come_in_bounded_steps(host: FileHost) -> None:
    with open_download(host.serve(answer(200, BODY, **MP4)), reach=NEAR) as (_, chunks):
        sizes = [len(chunk) for chunk in chunks]
    assert max(sizes) <= 2**20
    assert len(sizes) > 1


@pytest.mark.parametrize(
    "raw",
    [
        answer(200, BODY[:5000], length=len(BODY), **MP4),
        chunked(BODY[:5000], end=False, **MP4),
        answer(200, b"", **MP4),
        answer(200, b"", length=-1, **MP4),
        chunked(**MP4),
        answer(200, gzip.compress(BODY)[:500], length=-1, content_encoding="gzip", **MP4)[:-10],
        answer(200, b"<html>log in</html>", content_type="text/html; charset=utf-8"),
        answer(200, b'{"error": "no"}', content_type="application/json"),
        b"",
        b"nonsense\r\n\r\n",
        answer(408),
        answer(429),
        answer(500),
        answer(503, b"<html>", content_type="text/html"),
    ],
    ids=[
        "short", "chunks cut", "empty", "empty until closed", "no chunks", "compressed cut", "html", "json",
        "closed", "no http", "408", "429", "500", "503",
    ],
)  # fmt: skip
def test_what_may_be_whole_the_next_time_is_passing(host: FileHost, raw: bytes) -> None:
    with pytest.raises(DownloadFailed) as caught:
        fetch(host.serve(raw))
    assert caught.value.transient is True
    assert caught.value.retryable is True


@pytest.mark.parametrize("status", [206, 204, 400, 401, 403, 404, 410])
def test_a_link_that_is_gone_is_lasting(host: FileHost, status: int) -> None:
    with pytest.raises(DownloadFailed) as caught:
        fetch(host.serve(answer(status, b"x" if status != 204 else b"", length=-1)))
    assert caught.value.transient is False
    assert caught.value.http_status == status


def digests(content: bytes) -> dict[str, str]:
    md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    sha = base64.b64encode(hashlib.sha256(content).digest()).decode()
    return {"x_goog_hash": f"crc32c=n03x6A==,md5={md5}", "repr_digest": f"sha-256=:{sha}:"}


@pytest.mark.parametrize("header", ["x_goog_hash", "repr_digest"])
def test_a_flipped_bit_is_seen_where_the_host_tells_a_digest(host: FileHost, header: str) -> None:
    told = {header: digests(BODY)[header], **MP4}
    flipped = BODY[:9000] + bytes([BODY[9000] ^ 1]) + BODY[9001:]
    assert fetch(host.serve(answer(200, BODY, **told)))[1] == BODY
    with pytest.raises(DownloadFailed, match=header.replace("_", "-")) as caught:
        fetch(host.serve(answer(200, flipped, **told)) + "?sig=SIGNED")
    assert caught.value.transient is True
    assert "SIGNED" not in caught.value.message


def test_flipped_bytes_are_fetched_again_and_never_landed(host: FileHost, tmp_path: Path) -> None:
    told = {**digests(BODY), **MP4, "etag": '"v1"'}
    flipped, other = b"\x01" + BODY[1:], b"\x02" + BODY[1:]
    half, rest = other[: len(BODY) // 2], other[len(BODY) // 2 :]
    span = f"bytes {len(half)}-{len(BODY) - 1}/{len(BODY)}"
    url = host.serve(
        answer(200, flipped, **told),
        # The part that follows is right, and of the same file.
        answer(200, half, length=len(BODY), **told),
        answer(206, rest, content_range=span, **told),
        answer(200, BODY, **told),
    )
    assert landing(url, tmp_path).sha256 == hashlib.sha256(BODY).hexdigest()
    assert len(host.requests) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["the-id.mp4"]


def test_a_digest_that_the_same_bytes_never_have_keeps_no_file_from_being_landed(
    host: FileHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = host.serve(answer(200, BODY, **{**digests(b"another file"), **MP4}))
    assert landing(f"{url}?sig=SIGNED", tmp_path).sha256 == hashlib.sha256(BODY).hexdigest()
    assert len(host.requests) == 2
    assert "The announcement is taken to be wrong" in caplog.text
    assert "SIGNED" not in caplog.text


def test_nobody_listening_is_passing() -> None:
    with pytest.raises(DownloadFailed) as caught:
        fetch("http://127.0.0.1:1/v.mp4?sig=SIGNED")
    assert caught.value.transient is True
    assert "SIGNED" not in caught.value.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_followed_without_any_key(host: FileHost, status: int) -> None:
    with running_file_host() as other:
        target = other.serve(answer(200, BODY, **MP4)) + "?sig=1"
        url = host.serve(answer(status, location=target, set_cookie="a=b; Path=/"))
        assert fetch(url)[1] == BODY
        requests = [*host.requests, *other.requests]
    assert [request.path for request in requests] == ["/v.mp4", "/v.mp4?sig=1"]
    for request in requests:
        assert not {"x-api-key", "authorization"} & set(request.headers)


def test_a_relative_redirect_is_followed(host: FileHost) -> None:
    host.serve(answer(200, BODY, **MP4), path="/b/w.mp4")
    assert fetch(host.serve(answer(302, location="../b/w.mp4"), path="/a/v.mp4"))[1] == BODY


@pytest.mark.parametrize(("hops", "works"), [(MOST_REDIRECTS, True), (MOST_REDIRECTS + 1, False)])
def test_redirects_have_an_end(host: FileHost, hops: int, works: bool) -> None:
    for hop in range(hops):
        host.serve(answer(302, location=f"/{hop + 1}"), path=f"/{hop}")
    url = host.url("/0")
    host.serve(answer(200, BODY, **MP4), path=f"/{hops}")
    if works:
        assert fetch(url)[1] == BODY
    else:
        with pytest.raises(DownloadFailed, match="redirected") as caught:
            fetch(url)
        assert caught.value.transient is False
        assert len(host.requests) == MOST_REDIRECTS + 1


@pytest.mark.parametrize("location", ["ftp://host/v.mp4", "file:///etc/passwd", "javascript:x", "data:,x"])
def test_a_redirect_to_something_else_is_refused(host: FileHost, location: str) -> None:
    with pytest.raises(DownloadFailed, match="not followed") as caught:
        fetch(host.serve(answer(302, location=location)))
    assert caught.value.transient is False


@pytest.mark.parametrize(
    "location",
    ["http://[::1/v.mp4", "http://h:99999/v.mp4", "http://h:port/", "http://a b/", "http://[bad/", "//["],
)
def test_a_redirect_to_nonsense_is_a_failed_download(host: FileHost, location: str) -> None:
    with pytest.raises(DownloadFailed):
        fetch(host.serve(answer(302, location=location)))


@pytest.mark.parametrize("url", ["https://h:99999/v.mp4", "https://h:port/v.mp4"])
def test_a_url_that_no_request_can_go_to_is_a_failed_download(url: str) -> None:
    with pytest.raises(DownloadFailed):
        fetch(url)


def test_a_redirect_never_leaves_https() -> None:
    def moved(request: httpx.Request) -> httpx.Response:
        assert request.url.scheme == "https"
        return httpx.Response(302, headers={"location": "http://files.example/v.mp4?sig=SIGNED"})

    with pytest.raises(DownloadFailed, match="never leaves https") as caught:
        fetch("https://files.example/v.mp4", transport=httpx.MockTransport(moved))
    assert caught.value.transient is False
    assert "SIGNED" not in caught.value.message


def test_a_host_that_falls_silent_is_given_up(host: FileHost) -> None:
    def stalls(peer: Peer) -> None:
        peer.send(answer(200, BODY[:1000], length=len(BODY), **MP4))
        peer.stall(10)

    begun = time.monotonic()
    with pytest.raises(DownloadFailed, match="broke off") as caught:
        fetch(host.serve(stalls), timeout=0.2)
    assert caught.value.transient is True
    assert time.monotonic() - begun < 2


SLOW: dict[str, Callable[[Peer], None]] = {
    "headers": lambda peer: peer.drip(answer(200, BODY[:50], **MP4), every=0.02),
    "body": lambda peer: (peer.send(answer(200, length=100, **MP4)), peer.drip(b"x" * 100, every=0.02))[0],
    "redirects": lambda peer: (peer.stall(0.15), peer.send(answer(302, location="/v.mp4")))[0],
}


@pytest.mark.parametrize("what", SLOW)
def test_a_host_that_drips_is_given_up_at_the_deadline(host: FileHost, what: str) -> None:
    """Each byte arrives within the timeout of silence; only the deadline ends it."""
    begun = time.monotonic()
    with pytest.raises(DownloadFailed):
        fetch(host.serve(SLOW[what]), timeout=0.5, deadline=time.time() + 0.3)
    assert time.monotonic() - begun < 1.3


@pytest.mark.parametrize("raw", [b"HTTP/1.1 200 OK\r\nx-slow: " + b"x" * 100, answer(200, b" " * 100)])
@pytest.mark.parametrize("head", [0, 80])
def test_an_api_that_drips_is_given_up(
    host: FileHost, monkeypatch: pytest.MonkeyPatch, raw: bytes, head: int
) -> None:
    """The same for the blocking client, whose limit for a whole answer is 5 s and twice the timeout."""
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.1)

    def drips(peer: Peer) -> None:
        peer.send(raw[:head])
        peer.drip(raw[head:], every=0.02)

    host.serve(drips, path="/v1/get-user-credits")
    config = ClientConfig(api_key="k", base_url=host.url(""), timeout=0.1)
    begun = time.monotonic()
    with pytest.raises(SegmindError), SegmindClient(config) as client:
        client.credits(retry=ONCE)
    assert time.monotonic() - begun < 0.3 + 0.7


@pytest.mark.parametrize(
    ("served", "announced", "path", "name"),
    [
        ("video/mp4", None, "/v", "the-id.mp4"),
        ("video/webm", "video/mp4", "/v.mp4", "the-id.webm"),
        ("application/octet-stream", "video/mp4", "/v", "the-id.mp4"),
        ("application/octet-stream", None, "/v.MOV", "the-id.mov"),
        ("Video/MP4; codecs=avc1", None, "/v", "the-id.mp4"),
        (None, None, "/v", "the-id.bin"),
    ],
)
def test_a_landed_file_is_named_after_its_request_and_type(
    host: FileHost, tmp_path: Path, served: str | None, announced: str | None, path: str, name: str
) -> None:
    headers = {} if served is None else {"content_type": served}
    url = host.serve(answer(200, BODY, **headers), path=path)
    landed = landing(url, tmp_path, output=Output(url, content_type=announced))
    assert landed.uri == f"file://{tmp_path}/{name}"
    assert (tmp_path / name).read_bytes() == BODY
    assert (landed.size, landed.sha256) == (len(BODY), hashlib.sha256(BODY).hexdigest())


@pytest.mark.parametrize(
    "before",
    [
        [answer(503)],
        [
            answer(503),
            b"",
            answer(429),
            answer(200, BODY[:99], length=len(BODY), **MP4),
            chunked(b"x", end=False),
        ],
        [answer(200, b"<html>busy</html>", content_type="text/html")],
    ],
    ids=["503", "all sorts", "html"],
)
def test_a_landing_goes_on_through_broken_downloads(
    host: FileHost, tmp_path: Path, before: list[Answer]
) -> None:
    url = host.serve(*before, answer(200, BODY, **MP4))
    assert landing(url, tmp_path).size == len(BODY)
    assert len(host.requests) == len(before) + 1
    assert [path.name for path in tmp_path.iterdir()] == ["the-id.mp4"]


@pytest.mark.parametrize(
    "raw", [answer(503), answer(404), answer(200, b"x", length=9, **MP4), answer(200, b"", **MP4)]
)
def test_a_landing_that_fails_says_where_the_video_is_and_leaves_nothing(
    host: FileHost, tmp_path: Path, raw: bytes
) -> None:
    (tmp_path / "the-id.mp4").write_bytes(b"of an earlier try")
    url = host.serve(raw)
    with pytest.raises(DownloadFailed, match="the-id is paid for") as caught:
        landing(url + "?sig=SIGNED", tmp_path)
    assert caught.value.request_id == "the-id"
    assert caught.value.retryable is True
    assert url in str(caught.value)
    assert "SIGNED" not in str(caught.value)
    assert (tmp_path / "the-id.mp4").read_bytes() == b"of an earlier try"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_landing_ends_at_its_limit(host: FileHost, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed):
        landing(host.serve(answer(503)), tmp_path, limit=2.0)
    assert 1 <= len(host.requests) <= 4


def test_a_destination_that_refuses_is_not_tried_again(host: FileHost, tmp_path: Path) -> None:
    (tmp_path / "the-id.mp4").mkdir()
    with pytest.raises(DestinationError, match="the-id is paid for") as caught:
        landing(host.serve(answer(200, BODY, **MP4)), tmp_path)
    assert len(host.requests) == 1
    assert caught.value.request_id == "the-id"
    assert [path.name for path in tmp_path.iterdir()] == ["the-id.mp4"]


@pytest.mark.parametrize(
    "short",
    [answer(200, BODY[:1000], length=-1, **MP4), chunked(BODY[:1000], **MP4)],
    ids=["until closed", "chunked"],
)
def test_a_file_of_another_size_than_its_record_says_is_not_whole_where_its_host_says_none(
    host: FileHost, tmp_path: Path, short: bytes
) -> None:
    output = Output(host.serve(short, answer(200, BODY, length=-1, **MP4)), file_size=len(BODY))
    assert landing(output.url, tmp_path, output=output).size == len(BODY)
    assert len(host.requests) == 2
    host.serve(short)
    with pytest.raises(DownloadFailed, match=f"1000 bytes where {len(BODY)} were announced"):
        landing(output.url, tmp_path / "other", output=output, limit=2.0)
    assert not list((tmp_path / "other").iterdir())


@pytest.mark.parametrize("told", [0, -1])
def test_a_size_that_no_file_has_is_not_believed(host: FileHost, tmp_path: Path, told: int) -> None:
    output = Output(host.serve(answer(200, BODY, length=-1, **MP4)), file_size=told)
    assert landing(output.url, tmp_path, output=output).size == len(BODY)


def test_where_record_and_host_differ_the_hosts_length_counts_and_both_are_said(
    host: FileHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = Output(host.serve(answer(200, BODY, **MP4)) + "?sig=SIGNED", file_size=len(BODY) + 1)
    assert landing(output.url, tmp_path, output=output).size == len(BODY)
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert str(len(BODY)) in said
    assert str(len(BODY) + 1) in said
    assert "SIGNED" not in said
