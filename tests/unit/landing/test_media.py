"""What is a video is seen by its beginning, whatever its host says of it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.exceptions import DownloadFailed
from airflow_ltx.landing.checks import check_media, media_type
from airflow_ltx.landing.naming import extension

URL = "https://files.example/v.mp4"
TAIL = b"\x00" * 600


def box(kind: bytes, size: int = 32) -> bytes:
    return struct.pack(">I", size) + kind


PACKET = b"\x47" + b"\x1f" * 187
VIDEOS = {
    "mp4": (box(b"ftyp") + b"isom", "video/mp4"),
    "another brand": (box(b"ftyp") + b"XAVC", "video/mp4"),
    "quicktime": (box(b"ftyp") + b"qt  ", "video/quicktime"),
    "old quicktime": (box(b"moov", 9000), "video/quicktime"),
    "media first": (box(b"mdat", 1), "video/quicktime"),
    "a fragment": (box(b"styp") + b"msdh", "video/mp4"),
    "matroska": (b"\x1aE\xdf\xa3\x01", "video/webm"),
    "avi": (b"RIFF\x10\x00\x00\x00AVI LIST", "video/x-msvideo"),
    "flash": (b"FLV\x01\x05", "video/x-flv"),
    "windows media": (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "video/x-ms-asf"),
    "program stream": (b"\x00\x00\x01\xba\x44", "video/mpeg"),
    "video alone": (b"\x00\x00\x01\xb3\x14", "video/mpeg"),
    "transport stream": (PACKET * 4, "video/mp2t"),
    "disc's stream": ((b"\x00\x00\x00\x00" + PACKET) * 4, "video/mp2t"),
}
OTHERS = {
    "a page": b"<html><body>Sign in</body></html>",
    "a heading": b"<h1>502 Bad Gateway</h1>",
    "a head": b"<head><title>Sign in</title></head>",
    "a doctype": b'<!DOCTYPE  html PUBLIC "-//W3C">',
    "a page below blanks": b"\n" * 70 + b"<!doctype html><html>",
    "a page of wide letters": "<!doctype html><html>".encode("utf-16"),
    "words": b"Internal Server Error",
    "json": b'{"error": "no"}',
    "nothing but zeros": b"\0" * 1000,
    "a picture": b"\x89PNG\r\n\x1a\n",
    "a new picture": box(b"ftyp") + b"avif",
    "a sound": b"RIFF\x10\x00\x00\x00WAVEfmt ",
    "a song": box(b"ftyp") + b"M4A ",
    "a name of a box without its size": box(b"moov", 3),
    "a letter G": b"G" + b"x" * 600,
}


@pytest.mark.parametrize(("beginning", "kind"), VIDEOS.values(), ids=VIDEOS)
@pytest.mark.parametrize("served", ["video/mp4", "video/x-flv", "application/octet-stream", None])
def test_each_usual_container_is_a_video(beginning: bytes, kind: str, served: str | None) -> None:
    told = media_type(beginning + TAIL, served, None)
    check_media(beginning + TAIL, told, "video", URL)
    assert told == (served if served and served.startswith("video/") else kind)


@pytest.mark.parametrize("beginning", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("served", ["video/mp4", "application/octet-stream", None])
def test_nothing_else_is_one_whatever_its_host_says(beginning: bytes, served: str | None) -> None:
    told = media_type(beginning, served, "video/mp4")
    with pytest.raises(DownloadFailed, match="Nothing was saved") as caught:
        check_media(beginning, told, "video", URL)
    assert caught.value.transient is True


@given(st.text(max_size=300).map(lambda text: text.encode()))
def test_no_text_is_a_video(text: bytes) -> None:
    with pytest.raises(DownloadFailed):
        check_media(text, "video/mp4", "video", URL)


@pytest.mark.parametrize("blanks", [b"", b" " * 100, b"\xef\xbb\xbf \r\n", b"\n" * 900])
def test_a_page_is_none_where_anything_may_come(blanks: bytes) -> None:
    for page in (b"<html>", b"<!DOCTYPE  HTML", b"<head>", b"<body>"):
        with pytest.raises(DownloadFailed):
            check_media(blanks + page, "application/zip", None, URL)
    wide = (blanks.decode()[:400] + "<html>").encode("utf-16")
    with pytest.raises(DownloadFailed):
        check_media(wide, "application/zip", None, URL)


@pytest.mark.parametrize(
    ("content_type", "url", "ending"),
    [
        ("video/x-flv", "https://h/x.html", ".flv"),
        ("video/x-msvideo", "https://h/x.mp4", ".avi"),
        ("video/unheard-of", "https://h/x.html", ".bin"),
        ("audio/x-strange", "https://h/x.exe", ".bin"),
        ("application/zip", "https://h/x.html", ".zip"),
        ("binary/octet-stream", "https://h/x.mkv", ".mkv"),
    ],
)
def test_an_announced_type_leaves_no_ending_to_the_url(content_type: str, url: str, ending: str) -> None:
    assert extension(content_type, url) == ending


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ('video/mp4; codecs="avc1.42E01E, mp4a.40.2"', "video/mp4"),
        ("Video/WebM", "video/webm"),
        ("video/webm, video/webm", "video/webm"),
        (" video/webm\n", "video/webm"),
        ("application/mp4", "video/mp4"),
        ("text/plain", "video/mp4"),
        ("image/png", "video/mp4"),
        ("audio/mp4", "audio/mp4"),
        ("mp4", "video/mp4"),
        ("video/", "video/mp4"),
        ("video/webm\r\nx-evil: 1", "video/mp4"),
        ("video/☃", "video/mp4"),
        ("video/" + "a" * 9000, "video/mp4"),
        (", video/webm", "video/mp4"),
    ],
)
def test_whoever_says_a_type_says_it_in_one_form_or_not_at_all(told: str, kind: str) -> None:
    beginning = VIDEOS["mp4"][0] + TAIL
    assert media_type(beginning, told, None) == media_type(beginning, None, told) == kind


@given(st.none() | st.text(), st.none() | st.text())
def test_no_type_can_break_a_header(served: str | None, announced: str | None) -> None:
    for beginning in (VIDEOS["mp4"][0], b"anything"):
        told = media_type(beginning, served, announced)
        assert told is None or (told.isascii() and told.isprintable() and " " not in told)
        assert len(told or "") < 128
