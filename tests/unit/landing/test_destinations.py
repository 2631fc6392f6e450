from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.landing.destination import extension, parse_destination

URL = "https://images.segmind.com/x/a.mp4?sig=1"


@pytest.mark.parametrize(
    ("uri", "path", "folder"),
    [
        ("file:///data/videos/", "/data/videos", True),
        ("file:///data/videos/a.mp4", "/data/videos/a.mp4", False),
        ("  file:///data/a.mp4\n", "/data/a.mp4", False),
        ("file://localhost/data/", "/data", True),
        ("file:////data//videos//", "/data/videos", True),
        ("file:///", "/", True),
        ("file:///a/./b/", "/a/b", True),
        ("file:///with blank/é 影.mp4", "/with blank/é 影.mp4", False),
        ("file:///a/..b/c..d", "/a/..b/c..d", False),
        ("file:///a%2F..%2Fb/", "/a%2F..%2Fb", True),
        ("file:///what?#x", "/what?#x", False),
    ],
)
def test_a_file_uri_is_an_absolute_path_and_a_slash_makes_it_a_folder(
    uri: str, path: str, folder: bool
) -> None:
    read = parse_destination(uri)
    assert (read.scheme, read.path, read.folder) == ("file", PurePosixPath(path), folder)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "   ",
        "/data/videos/",
        "data",
        "file:/data",
        "://data",
        "file://",
        "file://localhost",
        "file://data/videos/",
        "file://../x/",
        "file:///a/../b/",
        "file:///..",
        "file:///../../etc/cron.d/",
        "file:///a/..",
        "file:///a/.",
        "file:///.",
        "file:///a\0b/",
        "file:///a\nb/",
        "s3://bucket/key/",
        "gs://bucket/",
        "http://host/a",
        "ftp://h/a",
    ],
)
def test_what_is_no_usable_destination_is_refused_for_good(uri: str) -> None:
    with pytest.raises(DestinationError, match="Invalid destination") as caught:
        parse_destination(uri)
    assert caught.value.retryable is False


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIA:hunter2@bucket/x/",
        "file://AKIA:hunter2@bucket/x/",
        "AKIA:hunter2@bucket/x",
        "file://hunter2@/../",
    ],
)
def test_a_secret_before_an_at_is_not_repeated(uri: str) -> None:
    with pytest.raises(DestinationError) as caught:
        parse_destination(uri)
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    ("content_type", "url", "ending"),
    [
        ("video/mp4", "https://h/a.webm", ".mp4"),
        ("VIDEO/MP4", "https://h/a", ".mp4"),
        ("image/jpeg", "https://h/a", ".jpg"),
        (None, URL, ".mp4"),
        ("application/octet-stream", "https://h/a.MOV?x=.exe", ".mov"),
        (None, "https://h/a", ".bin"),
        (None, "https://h/", ".bin"),
        (None, "https://h/a.", ".bin"),
        (None, "https://h/a.b/c", ".bin"),
        (None, "https://h/a.toolong", ".bin"),
        (None, "https://h/a.m p", ".bin"),
        (None, "https://[broken/a.mp4", ".bin"),
        (None, "https://h/.mp4", ".mp4"),
        (None, "https://h/a.%2fx", ".bin"),
    ],
)
def test_the_ending_is_of_the_type_or_else_of_the_url(
    content_type: str | None, url: str, ending: str
) -> None:
    assert extension(content_type, url) == ending


def test_a_folder_names_the_file_by_its_request_and_a_file_keeps_its_name() -> None:
    folder = parse_destination("file:///data/")
    assert folder.file_for("abc", "video/mp4", URL) == PurePosixPath("/data/abc.mp4")
    assert folder.directory == PurePosixPath("/data")
    file = parse_destination("file:///data/clip")
    assert file.file_for("abc", "video/mp4", URL) == PurePosixPath("/data/clip")
    assert file.directory == PurePosixPath("/data")


@given(st.text(alphabet="./ab:@\0\n%~é", max_size=20))
def test_any_path_is_absolute_and_without_a_way_up_or_refused(rest: str) -> None:
    try:
        read = parse_destination("file://" + rest)
    except DestinationError:
        return
    assert read.path.is_absolute()
    assert ".." not in read.path.parts
    assert "\0" not in str(read.path)
    assert read.file_for("id", None, URL).parent == read.directory


@given(st.text(max_size=30), st.none() | st.text(max_size=12))
def test_any_url_gives_a_short_plain_ending(url: str, content_type: str | None) -> None:
    ending = extension(content_type, url)
    assert ending.startswith(".")
    assert ending[1:].isascii()
    assert ending[1:].isalnum()
    assert len(ending) <= 6
