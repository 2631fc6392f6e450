from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.landing.destination import Destination, parse_destination
from airflow_ltx.landing.naming import NamedFile, extension, fill, pattern, safe
from airflow_ltx.landing.wish import Wish

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
    assert (read.scheme, read.path, read.folder) == ("file", path, folder)


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
        "s3://",
        "s3:///videos/",
        "s3://b/videos/",
        "s3://@bucket/videos/",
        "s3://two words@bucket/videos/",
        "s3://bucket/../videos/",
        "s3://bucket/videos//a/",
        "s3://bucket//a",
        "s3://bucket/./a",
        "s3://bucket/a?versionId=1",
        "gs://bucket/a#1",
        "s3://bucket/a\x7f/",
        f"s3://bucket/{'a' * 900}/",
        "abfs://container@account.dfs.core.windows.net/videos/",
        "s3://bucket/{prompt}.mp4",
        "s3://bucket/{request_id/",
        "file:///data/{}/",
        "s3://bucket/\ud800/",
        "file:///a/\udcff.mp4",
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
    assert folder.file_for(NamedFile("abc", "video/mp4", URL)) == "/data/abc.mp4"
    assert folder.directory == "/data"
    file = parse_destination("file:///data/clip")
    assert file.file_for(NamedFile("abc", "video/mp4", URL)) == "/data/clip"
    assert file.directory == "/data"


@pytest.mark.parametrize(
    ("uri", "conn_id", "expected"),
    [
        ("s3://aws@bucket/a/b/", None, Destination("s3", "a/b", True, "bucket", "aws")),
        ("s3://bucket/a/b", "aws", Destination("s3", "a/b", False, "bucket", "aws")),
        ("S3A://aws@bucket/", "aws", Destination("s3a", "", True, "bucket", "aws")),
        ("gs://bucket", None, Destination("gs", "", True, "bucket", None)),
        ("abfss://my-az@container/x.mp4", None, Destination("abfss", "x.mp4", False, "container", "my-az")),
    ],
)
def test_a_bucket_may_name_its_connection(uri: str, conn_id: str | None, expected: Destination) -> None:
    assert parse_destination(uri, conn_id) == expected


def test_two_connections_for_one_destination_are_an_error() -> None:
    with pytest.raises(DestinationError, match="another connection than destination_conn_id"):
        parse_destination("s3://one@bucket/", "two")


@pytest.mark.parametrize(
    ("uri", "record", "first", "second"),
    [
        ("s3://c@bucket/", "", "s3://bucket/abc.mp4", "s3://bucket/abc-2.mp4"),
        ("gs://c@bucket/v/", "v", "gs://bucket/v/abc.mp4", "gs://bucket/v/abc-2.mp4"),
        ("abfs://c@bucket/v/a.mp4", "v", "abfs://bucket/v/a.mp4", "abfs://bucket/v/a-2.mp4"),
        ("s3://c@bucket/v/a", "v", "s3://bucket/v/a", "s3://bucket/v/a-2"),
        ("s3://c@bucket/v/{request_id}{ext}", "v", "s3://bucket/v/abc.mp4", "s3://bucket/v/abc-2.mp4"),
        ("s3://c@bucket/{model}/x/", "", "s3://bucket/m/x/abc.mp4", "s3://bucket/m/x/abc-2.mp4"),
        ("s3://c@bucket/v/a{number}.mp4", "v", "s3://bucket/v/a1.mp4", "s3://bucket/v/a2.mp4"),
        ("file:///v/", "/v", "file:///v/abc.mp4", "file:///v/abc-2.mp4"),
        ("file:///", "/", "file:///abc.mp4", "file:///abc-2.mp4"),
    ],
)
def test_names_are_filled_in_published_without_a_connection_and_known_again(
    uri: str, record: str, first: str, second: str
) -> None:
    read = parse_destination(uri)
    named = NamedFile("abc", "video/mp4", URL, "m")
    path = read.file_for(named)
    assert read.directory == record
    assert read.uri(path) == first
    assert read.uri(read.file_for(NamedFile("abc", "video/mp4", URL, "m", 2))) == second
    assert read.path_of(first) == path
    assert read.path_of(second) == read.file_for(NamedFile("abc", "video/mp4", URL, "m", 2))
    assert parse_destination("s3://c@bucket/elsewhere/").path_of(first) is None
    assert parse_destination("file:///else/a.mp4").path_of("file:///else/a-x.mp4") is None
    assert parse_destination("s3://c@bucket/v/").path_of("s3://bucket/v-2/a.mp4") is None
    wish = Wish(read, own=("a",), every=True, media="video", max_bytes=7, if_exists="error")
    assert Wish.from_json(wish.to_json()) == wish


@given(st.text(max_size=30))
def test_what_comes_from_outside_adds_no_folder_and_leads_nowhere(value: str) -> None:
    name = safe(value)
    assert name
    assert not name.startswith(".")
    assert "/" not in name
    assert name.isascii()
    path = fill("v/{request_id}.mp4", NamedFile(value, None, URL))
    assert re.fullmatch(pattern("v/{request_id}.mp4"), path)


def test_no_two_ids_have_one_name() -> None:
    ids = ["a-b", "a:b", "a/b", "a--b", ".a-b", "x" * 128, "x" * 129, "x" * 130, ""]
    names = [safe(each) for each in ids]
    assert len(set(names)) == len(ids)
    assert names[0] == ids[0]
    assert max(map(len, names)) <= 128
    assert safe("a:b") == safe("a:b")


@given(st.text(), st.text())
def test_different_values_have_different_names(one: str, other: str) -> None:
    assert (safe(one) == safe(other)) is (one == other)


@given(st.text(alphabet="./ab:@\0\n%~é", max_size=20))
def test_any_path_is_absolute_and_without_a_way_up_or_refused(rest: str) -> None:
    try:
        read = parse_destination("file://" + rest)
    except DestinationError:
        return
    assert read.path.startswith("/")
    assert ".." not in read.path.split("/")
    assert "\0" not in read.path
    assert (read.file_for(NamedFile("id", None, URL)).rpartition("/")[0] or "/") == (read.directory or "/")


@given(st.text(max_size=30), st.none() | st.text(max_size=12))
def test_any_url_gives_a_short_plain_ending(url: str, content_type: str | None) -> None:
    ending = extension(content_type, url)
    assert ending.startswith(".")
    assert ending[1:].isascii()
    assert ending[1:].isalnum()
    assert len(ending) <= 6
