from __future__ import annotations

import asyncio
import base64
import json
import os
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx import exceptions as e
from airflow_ltx.segmind import upload as uploads
from airflow_ltx.segmind.async_client import AsyncSegmindClient
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.media import plain_type, sniff, type_of_name
from airflow_ltx.segmind.retry import ONCE
from airflow_ltx.segmind.upload import read_files, read_upload, upload_request
from tests.unit.segmind.support import CONFIG, KEY, KINDS, Service, VirtualClock, run
from tests.unit.segmind.support import response as answer

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
URL = "https://images.segmind.com/assets/a.png"
everywhere = pytest.mark.parametrize("kind", KINDS)


def accepted(*urls: str, key: str = "file_urls") -> httpx.Response:
    return httpx.Response(200, json={key: list(urls), "message": "Files uploaded successfully"})


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"GIF87a..", "image/gif"),
        (b"GIF89a..", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00", "video/mp4"),
        (b"\x00\x00\x00\x18ftypmp42", "video/mp4"),
        (b"\x00\x00\x00\x18ftypiso5", "video/mp4"),
        (b"\x00\x00\x00\x14ftypqt  ", None),
        (b"\x00\x00\x00\x18ftypheic", None),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None),
        (b"plain text, and more of it", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
        (b"", None),
        (b"\x89PNG", None),
    ],
)
def test_the_first_bytes_tell_the_usual_kinds(beginning: bytes, kind: str | None) -> None:
    assert sniff(beginning) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.png", "image/png"),
        ("A.JPG", "image/jpeg"),
        ("a.b.webp", "image/webp"),
        ("a.mov", "video/quicktime"),
        ("a.webm", "video/webm"),
        ("a.mkv", "video/x-matroska"),
        ("a.mp3", "audio/mpeg"),
        ("a.avif", "image/avif"),
        ("/folder.png/name", None),
        ("a.txt", None),
        ("a.html", None),
        ("a.mp4.gz", None),
        ("png", None),
        ("", None),
    ],
)
def test_a_name_tells_media_alone(name: str, kind: str | None) -> None:
    assert type_of_name(name) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("image/png", "image/png"),
        (" Image/PNG ; charset=x", "image/png"),
        ("application/vnd.x+json", "application/vnd.x+json"),
        ("png", None),
        ("image/", None),
        ("image/png,x", None),
        ('image/"', None),
        ("image/é", None),
        ("", None),
    ],
)
def test_a_declared_type_is_one_or_none(text: str, kind: str | None) -> None:
    assert plain_type(text) == kind


def test_the_bytes_go_before_the_name_and_a_declared_type_before_both(tmp_path: Path) -> None:
    (tmp_path / "wrong.jpg").write_bytes(PNG)
    (tmp_path / "sound.wav").write_bytes(b"RIFF....WAVE")
    urls = read_files([tmp_path / "wrong.jpg", str(tmp_path / "sound.wav"), PNG])
    assert [url.partition(b";")[0] for url in urls] == [
        b"data:image/png", b"data:audio/x-wav", b"data:image/png",
    ]  # fmt: skip
    assert read_files([PNG], "image/x-own")[0].startswith(b"data:image/x-own;base64,")


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=4))
def test_what_is_sent_is_what_was_given(contents: list[bytes]) -> None:
    request = upload_request(CONFIG, read_files(contents, "image/png"))
    assert request.content is not None
    sent = json.loads(request.content)
    assert sent.keys() == {"data_urls"}
    assert [
        base64.b64decode(url.removeprefix("data:image/png;base64,")) for url in sent["data_urls"]
    ] == contents


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ((), "no file"),
        (("/no/such/file.png",), "No such file"),
        (("/",), "cannot be read"),
        (("a\0.png",), "cannot be read .a null byte is in its name"),
        (("a\ud800.png",), "cannot be read"),
        (("/dev/zero",), "is no regular file"),
        ((b"",), "is empty"),
        ((b"who knows",), "give content_type"),
        (("https://example.com/a.png?sig=SIGNED",), "is a URL already"),
        ((5,), "neither a path nor bytes"),
        ((None,), "neither a path nor bytes"),
    ],
)
@everywhere
def test_what_cannot_be_sent_is_told_before_anything_is(kind: str, files: tuple[Any, ...], told: str) -> None:
    service = Service([accepted(URL)])
    with pytest.raises(e.InvalidParameter, match=told) as caught:
        run(kind, service, lambda client: client.upload(*files))
    assert service.requests == []
    assert not caught.value.retryable


def test_an_unknown_kind_an_empty_file_and_a_bad_type_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"notes")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(e.InvalidParameter) as caught:
        read_files([tmp_path / "notes.txt", tmp_path / "empty.png", tmp_path / "gone.png"])
    assert len(caught.value.problems) == 3
    assert "notes.txt" in caught.value.problems[0]
    with pytest.raises(e.InvalidParameter, match="like image/png"):
        read_files([PNG], "png")


def test_more_than_may_travel_in_one_body_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "LARGEST_UPLOAD", 1000)
    assert len(read_files([PNG, PNG, PNG])) == 3
    with pytest.raises(e.InvalidParameter, match="too large"):
        read_files([PNG] * 4)
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.write(PNG)
        file.truncate(10**12)
    with pytest.raises(e.InvalidParameter, match="too large"):
        read_files([huge])


def test_the_stated_limit_is_what_a_service_takes_in_one_body() -> None:
    with pytest.raises(e.InvalidParameter, match="32 MiB together"):
        read_files([PNG + bytes(uploads.LARGEST_UPLOAD)])
    body = upload_request(CONFIG, read_files([PNG + bytes(uploads.LARGEST_UPLOAD - len(PNG))])).content
    assert body is not None
    assert len(body) < 45 * 2**20


def test_an_async_upload_reads_its_files_off_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "slow.png"
    file.write_bytes(PNG)
    ready = threading.Event()
    real = uploads._read
    monkeypatch.setattr(uploads, "_read", lambda *arguments: real(*arguments) if ready.wait(10) else b"")
    ticks = 0

    async def go() -> tuple[str, ...]:
        nonlocal ticks
        transport = httpx.MockTransport(lambda request: accepted(URL))
        async with AsyncSegmindClient(CONFIG, transport=transport) as client:
            uploading = asyncio.create_task(client.upload(file))
            for _ in range(5):
                await asyncio.sleep(0.01)
                ticks += 1
            ready.set()
            return await uploading

    assert asyncio.run(go()) == (URL,)
    assert ticks == 5


@everywhere
@pytest.mark.parametrize("key", ["file_urls", "urls"])
def test_a_url_for_each_file_in_their_order(kind: str, key: str) -> None:
    service = Service([accepted(URL, URL + "2", key=key)])
    config = ClientConfig(api_key=KEY, upload_url="https://upload.example/base/")
    assert run(kind, service, lambda client: client.upload(PNG, PNG), config=config) == (URL, URL + "2")
    (request,) = service.requests
    assert (request.method, str(request.url)) == ("POST", "https://upload.example/base/upload-asset")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-api-key"] == KEY
    assert KEY.encode() not in request.content


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"[]", {}, {"file_urls": None}, {"file_urls": []}, {"file_urls": [URL]},
        {"file_urls": URL}, {"file_urls": [URL, URL, URL]}, {"file_urls": [URL, None]},
        {"urls": [URL, "javascript:x"]}, {"file_urls": [URL, "assets/a.png"]},
        {"file_urls": [], "urls": [URL, URL]},
    ],
)  # fmt: skip
def test_anything_but_a_url_for_each_file_is_no_answer(body: Any) -> None:
    with pytest.raises(e.UnreadableResponse, match="free of charge"):
        read_upload(answer(200, body), 2)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, e.UnreadableResponse),
        (400, e.RequestRejected),
        (401, e.AuthenticationFailed),
        (403, e.AccessDenied),
        (404, e.UnreadableResponse),
        (406, e.RequestRejected),
        (413, e.RequestRejected),
        (415, e.RequestRejected),
        (429, e.RateLimited),
        (500, e.ServiceUnavailable),
    ],
)
def test_a_refused_upload_says_why(status: int, kind: type[e.SegmindError]) -> None:
    with pytest.raises(e.SegmindError, match="Uploading is free of charge") as caught:
        read_upload(answer(status, {"error": "no", "file_urls": [URL]}), 1)
    assert type(caught.value) is kind
    assert caught.value.http_status == status
    assert "1 file " in caught.value.message
    assert ("smaller" in caught.value.message) is (status == 413)


@everywhere
@pytest.mark.parametrize(
    "trouble", [httpx.ReadError("x"), httpx.ConnectError("x"), httpx.Response(503), httpx.Response(429)]
)
def test_a_lost_answer_is_followed_by_two_more_sendings_at_the_most(kind: str, trouble: Any) -> None:
    service = Service([trouble, accepted(URL)])
    assert run(kind, service, lambda client: client.upload(PNG)) == (URL,)
    assert len(service.requests) == 2
    service = Service([trouble])
    with pytest.raises(e.SegmindError) as caught:
        run(kind, service, lambda client: client.upload(PNG))
    assert len(service.requests) == 3
    assert "billed" not in caught.value.message.replace("free of charge", "")


@everywhere
@pytest.mark.parametrize("body", [b"<html>", b'{"file_urls": []}'])
def test_an_answer_that_makes_no_sense_is_not_asked_for_again(kind: str, body: bytes) -> None:
    """Whatever was left the first time would be left once more."""
    service = Service([httpx.Response(200, content=body)])
    with pytest.raises(e.UnreadableResponse):
        run(kind, service, lambda client: client.upload(PNG))
    assert len(service.requests) == 1


@everywhere
def test_a_lost_answer_says_what_may_have_been_left(kind: str) -> None:
    with pytest.raises(e.ServiceUnavailable, match="copies that were left cannot be deleted"):
        run(kind, Service([httpx.ReadError("x")]), lambda client: client.upload(PNG, retry=ONCE))


@everywhere
def test_a_large_upload_is_given_time_for_a_slow_line(kind: str) -> None:
    service = Service([accepted(URL)])
    run(kind, service, lambda client: client.upload(PNG))
    run(kind, service, lambda client: client.upload(PNG + bytes(6 * 2**20)))
    small, large = (request.extensions["timeout"]["write"] for request in service.requests)
    assert small == pytest.approx(CONFIG.timeout, abs=1)
    assert large > CONFIG.timeout + 30


@everywhere
def test_a_full_account_is_waited_for_as_long_as_it_says(kind: str) -> None:
    clock = VirtualClock()
    service = Service([httpx.Response(429, headers={"retry-after": "40"}), accepted(URL)])
    assert run(kind, service, lambda client: client.upload(PNG), clock=clock) == (URL,)
    assert 40 <= clock.passed < 60


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f.png")
    with pytest.raises(e.InvalidParameter, match="is no regular file"):
        read_files([tmp_path / "f.png"])
