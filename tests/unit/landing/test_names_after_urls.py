"""What a file is called of which only the URL is known."""

from __future__ import annotations

import pytest

from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.naming import NamedFile, name_of


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/harbour.mp4", "harbour"),
        ("https://h/a/harbour.mp4?X-Amz-Signature=5ecret#t=3", "harbour"),
        ("https://h/harbour", "harbour"),
        ("https://h/harbour.final.mp4", "harbour.final"),
        ("https://h/a%20b%2F..%2Fc%7Bext%7D.mp4", "c-ext-"),
        ("https://h/été.mp4", "-t-"),
    ],
)
def test_it_is_called_as_at_its_url(url, name):
    assert name_of(url) == name


@pytest.mark.parametrize("url", ["https://h", "https://h/?id=5", "https://h/%2E%2E", "https://h/影.mp4"])
def test_a_url_that_says_nothing_is_told_by_its_digest(url):
    name = name_of(url)
    assert len(name) == 16
    assert name == name_of(f"{url.partition('?')[0]}?id=another")
    assert name != name_of("https://other")


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("s3://c@bucket/videos/", "videos/harbour.mp4"),
        ("s3://c@bucket", "harbour.mp4"),
        ("file:///", "/harbour.mp4"),
        ("s3://c@bucket/{model}/{request_id}-{number}{ext}", "wan/harbour-1.mp4"),
        ("s3://c@bucket/clip.mp4", "clip.mp4"),
    ],
)
def test_a_destination_takes_the_name_in_place_of_the_requests_id(uri, path):
    destination = parse_destination(uri).named("harbour")
    file = NamedFile("", "video/mp4", "https://h/x", "wan")
    assert destination.file_for(file) == path
    assert not destination.by_request
    assert destination.path_of(destination.uri(path)) == path
