"""Files of all sorts, whatever is said of their types: named and kept as what they are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_ltx.exceptions import DownloadFailed
from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.land import Landed, land_outputs
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind.models import Output
from airflow_ltx.segmind.outputs import find_outputs
from airflow_ltx.segmind.reach import Reach
from tests.protocol.file_host import FileHost, answer, running_file_host

VIDEO = b"\0\0\0\x18ftypisom" + bytes(range(256)) * 100
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(500)


@pytest.fixture
def host() -> Iterator[FileHost]:
    with running_file_host() as running:
        yield running


def landing(outputs: tuple[Output, ...], folder: Path) -> list[tuple[str, str | None]]:
    wish = Wish(parse_destination(f"file://{folder}/"), media="video", every=True)
    reach = Reach(plain=True, private=True)
    landed: tuple[Landed, ...] = land_outputs(outputs, wish, "id", reach=reach, latest=time.time() + 2)
    return [(each.uri.rpartition("/")[2], each.content_type) for each in landed]


def test_what_comes_beside_the_video_need_be_none(host: FileHost, tmp_path: Path) -> None:
    video = host.serve(answer(200, VIDEO, content_type="video/mp4"), path="/v.mp4")
    picture = host.serve(answer(200, PICTURE, content_type="image/png"), path="/t.png")
    names = landing(find_outputs({"url": video}, {"url": picture}), tmp_path)
    assert names == [("id.mp4", "video/mp4"), ("id-2.png", "image/png")]
    with pytest.raises(DownloadFailed, match="sent image/png"):
        landing(find_outputs({"url": picture}, {"url": video}), tmp_path)


def test_what_comes_beside_the_video_is_no_page_either(host: FileHost, tmp_path: Path) -> None:
    video = host.serve(answer(200, VIDEO, content_type="video/mp4"), path="/v.mp4")
    page = host.serve(answer(200, b"<html>sign in</html>", content_type="image/png"), path="/t.png")
    with pytest.raises(DownloadFailed, match="a page or a message"):
        landing(find_outputs([video, page]), tmp_path)


@pytest.mark.parametrize("told", ['video/webm; codecs="vp9"', "Video/WebM", "video/webm\n"])
def test_the_type_of_a_record_is_read_as_that_of_a_header_is(
    host: FileHost, tmp_path: Path, told: str
) -> None:
    url = host.serve(answer(200, VIDEO, content_type="application/octet-stream"), path="/v")
    (output,) = find_outputs({"url": url, "content_type": told})
    assert output.content_type == "video/webm"
    assert landing((output,), tmp_path) == [("id.webm", "video/webm")]


def test_a_type_that_comes_twice_is_one(host: FileHost, tmp_path: Path) -> None:
    twice = b"HTTP/1.1 200 OK\r\ncontent-type: video/webm\r\ncontent-type: video/webm\r\n"
    url = host.serve(twice + b"content-length: %d\r\n\r\n" % len(VIDEO) + VIDEO, path="/v")
    assert landing(find_outputs(url), tmp_path) == [("id.webm", "video/webm")]
