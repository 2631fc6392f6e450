"""What the service says of a file's type, in the headers of a storage's requests."""

from __future__ import annotations

import time

import pytest
from slow_host import BEGINNING

from airflow_ltx.landing import filesystems
from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.land import land
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind.models import Output
from airflow_ltx.segmind.reach import Reach
from tests.protocol.file_host import answer, running_file_host


@pytest.fixture(autouse=True)
def _own_connections(monkeypatch):
    monkeypatch.setattr(filesystems, "_entries", {})


TOLD = [
    "video/mp4\n",
    "video/mp4\r\nx-evil: 1",
    "video/\u2603",
    "video/mp4; codecs=avc1",
    "video/" + "a" * 9000,
]


def test_no_type_is_more_than_a_type(store):
    wish = Wish(parse_destination(store.uri("v/")), media="video")
    with running_file_host() as host:
        url = host.serve(answer(200, BEGINNING, content_type="application/octet-stream"))
        for number, told in enumerate(TOLD):
            reach, deadline = Reach(plain=True, private=True), time.time() + 5
            land(Output(url, told), wish, f"id-{number}", reach=reach, deadline=deadline)
    assert store.names() == [f"v/id-{number}.mp4" for number in range(len(TOLD))]
    for name in store.names():
        assert store.read(name) == BEGINNING
        assert store.facts(name).content_type == "video/mp4"
