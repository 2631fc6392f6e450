"""Names that others want, and bytes that change on their way: what storage is told, and what it says."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
from relay import Asked, Relay, Told, relayed, s3_error
from servers.azurite import Azurite
from servers.ceph_rgw import CephRgw
from servers.fake_gcs import FakeGcs
from servers.ministack import MiniStack
from slow_host import BEGINNING

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.landing import filesystems, remote_place, s3
from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.land import LANDING, Landed, _publish, is_landed, land
from airflow_ltx.landing.place import Attributes, place_of
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind.models import Output
from airflow_ltx.segmind.reach import Reach
from tests.protocol.file_host import answer, running_file_host

KINDS = [server.name for server in (MiniStack, CephRgw, FakeGcs, Azurite)]
SMALL, LARGE = 5000, 18 * 1024**2
NAME = "v/clip.mp4"
MARK = b"a place in the middle"


@pytest.fixture(autouse=True)
def _own_connections(monkeypatch):
    monkeypatch.setattr(filesystems, "_entries", {})
    monkeypatch.setattr(remote_place, "_untidy", set())
    monkeypatch.setattr(s3, "_unconditional", set())


@pytest.fixture
def relay(store, monkeypatch) -> Iterator[Relay]:
    with relayed(store) as (relay, connection):
        monkeypatch.setenv("AIRFLOW_CONN_STORE", connection)
        yield relay


def film(size: int) -> bytes:
    content = (BEGINNING * (size // len(BEGINNING) + 1))[:size]
    return content[:1000] + MARK + content[1000 + len(MARK) :]


def landing(
    store,
    content: bytes,
    request_id: str = "film",
    *,
    name: str = NAME,
    attempts: int | None = None,
    **wish,
) -> Landed:
    """Land it, ``attempts`` times if the store never takes it: a deadline would cut the last one."""
    with running_file_host() as host:
        url = host.serve(answer(200, content, content_type="video/mp4"))
        return land(
            Output(url),
            Wish(parse_destination(store.uri(name)), media="video", **wish),
            request_id,
            reach=Reach(plain=True, private=True),
            deadline=time.time() + 60,
            policy=replace(LANDING, attempts=attempts),
        )


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# Ceph's gateway heeds no condition at the end of an upload in parts.
HEEDED = [(kind, size) for kind in KINDS for size in (SMALL, LARGE) if (kind, size) != ("rgw", LARGE)]
HEEDS = pytest.mark.parametrize(("store", "size"), HEEDED, indirect=["store"])
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])


@HEEDS
@pytest.mark.parametrize("if_exists", ["same", "error"])
def test_of_two_requests_that_land_at_once_one_has_the_name_and_the_other_an_error(store, size, if_exists):
    wish = Wish(parse_destination(store.uri(NAME)), if_exists=if_exists)
    ready, first_is_through = threading.Barrier(2), threading.Event()

    def write_once(who: str, wait: Callable[[], object]) -> None:
        place = place_of(wish.destination)
        with place.upload(NAME, Attributes("video/mp4", who)) as upload:
            for start in range(0, size, 2**20):
                upload.write(who.encode() * min(2**20, size - start))
            wait()
            if store.kind == "gcs" and size == LARGE and who == "B":
                # That server decides by nothing but who comes last.
                assert first_is_through.wait(60)
            try:
                _publish(place, wish, NAME, upload, who)
            finally:
                if who == "A":
                    first_is_through.set()

    def write(who: str) -> str:
        wait: Callable[[], object] = partial(ready.wait, 60)
        while True:
            try:
                write_once(who, wait)
                return who
            except DestinationError as error:
                if not error.retryable:
                    return error.message
                # Whoever has the name ends the uploads of all others.
                wait = bool

    with ThreadPoolExecutor(2) as threads:
        ends = list(threads.map(write, "AB"))
    (winner,) = set(ends) & {"A", "B"}
    assert any("is there already" in end for end in ends)
    assert store.read(NAME) == winner.encode() * size
    if store.scheme == "s3":
        assert store.unfinished_uploads() == []


@pytest.mark.parametrize(
    ("store", "size"),
    # fake-gcs-server heeds no generation but 0; of large files the landing sees it for itself.
    [each for each in HEEDED if each != ("gcs", SMALL)],
    indirect=["store"],
)
def test_only_what_was_seen_loses_its_name(store, size):
    place = place_of(parse_destination(store.uri(NAME)))
    store.put(NAME, b"before")
    seen = place.find(NAME)
    assert seen.version
    with place.upload(NAME, Attributes(None, "the-id")) as upload:
        upload.write(os.urandom(size))
        store.put(NAME, b"another's, meanwhile")
        with pytest.raises(FileExistsError):
            upload.publish(replace=seen.version)
    assert store.read(NAME) == b"another's, meanwhile"
    with place.upload(NAME, Attributes(None, "the-id")) as upload:
        upload.write(b"x" * size)
        upload.publish(replace=place.find(NAME).version)
    assert store.read(NAME) == b"x" * size


@pytest.mark.parametrize("store", ["gcs"], indirect=True)
@SIZES
def test_gcs_is_told_what_may_be_replaced_when_an_upload_begins(store, relay, size):
    def told() -> list[list[str] | None]:
        uploads = [one.query for one in relay.asked if one.method == "POST" and "upload_id" not in one.query]
        begun = [query.get("ifGenerationMatch") for query in uploads]
        relay.asked.clear()
        return begun

    landing(store, film(size), "first")
    assert told() == [["0"]]
    generation = place_of(parse_destination(store.uri(NAME))).find(NAME).version
    # Of this task instance: it may be replaced, and nothing else.
    landing(store, film(size + 1), "second", own=("first",))
    assert told() == [[generation]]
    landing(store, film(size), "third", if_exists="overwrite")
    assert told() == [None]


@pytest.mark.parametrize("store", ["gcs"], indirect=True)
@SIZES
def test_gcs_is_told_the_sums_of_what_it_gets(store, relay, size):
    content = film(size)
    landed = landing(store, content)
    assert landed.sha256 == hashlib.sha256(store.read(NAME)).hexdigest()
    last = [one for one in relay.asked if one.method == "POST"][-1]
    assert b'"crc32c"' in last.body if size == SMALL else "crc32c=" in last.headers["x-goog-hash"]


@pytest.mark.parametrize("store", ["gcs", "ministack", "rgw", "azurite"], indirect=True)
@SIZES
def test_a_byte_that_changes_on_its_way_up_is_noticed(store, relay, size):
    spoilt: list[str] = []

    def spoil(asked: Asked) -> None:
        if MARK in asked.body and not spoilt:
            spoilt.append(asked.path)
            asked.body = asked.body.replace(MARK, MARK[:-1] + b"!")

    relay.rule = spoil
    content = film(size)
    landed = landing(store, content)
    assert len(spoilt) == 1
    assert store.read(NAME) == content
    assert landed.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("store", ["gcs"], indirect=True)
@SIZES
def test_what_gcs_always_spoils_is_never_there(store, relay, size):
    def spoil(asked: Asked) -> None:
        asked.body = asked.body.replace(MARK, MARK[:-1] + b"!")

    relay.rule = spoil
    with pytest.raises(DestinationError, match="kept other bytes than it was sent"):
        landing(store, film(size), attempts=3)
    assert store.names() == []


@pytest.mark.parametrize("store", ["gcs"], indirect=True)
def test_of_a_part_of_which_gcs_says_nothing_nothing_is_there(store, relay):
    silent = 2

    def lose(asked: Asked) -> Told | None:
        nonlocal silent
        if silent and asked.headers.get("content-range", "").endswith("/*"):
            silent -= 1
            return Told(308)
        return None

    relay.rule = lose
    content = film(LARGE)
    landing(store, content)
    assert (silent, store.read(NAME) == content) == (0, True)


@pytest.mark.parametrize("store", ["gcs"], indirect=True)
def test_gcs_may_take_less_than_it_is_given_and_never_have_less_than_it_had(store, relay):
    content = film(LARGE)
    step = 3 * 256 * 1024

    def take_less(asked: Asked) -> Told | None:
        first, _, rest = asked.headers.get("content-range", "").removeprefix("bytes ").partition("-")
        if first == "0" and len(asked.body) > step:
            asked.body = asked.body[:step]
            asked.headers["content-range"] = f"bytes 0-{step - 1}/{rest.partition('/')[2]}"
        return None

    relay.rule = take_less
    landing(store, content)
    assert store.read(NAME) == content

    def forget(asked: Asked) -> Told | None:
        first = asked.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
        return Told(308, headers={"range": "bytes=0-99"}) if first not in ("", "0") else None

    relay.rule = forget
    with pytest.raises(DestinationError, match="lost what it had"):
        landing(store, content, name="v/other.mp4", attempts=3)
    assert store.names() == [NAME]


@pytest.mark.parametrize("store", ["gcs"], indirect=True)
def test_what_gcs_denies_is_not_tried_again(store, relay):
    asks = []

    def deny(asked: Asked) -> Told:
        asks.append((asked.method, asked.path))
        return Told(403, b'{"error": {"code": 403, "message": "no"}}')

    relay.rule = deny
    with pytest.raises(DestinationError, match="was denied to the connection 'store'") as caught:
        landing(store, film(SMALL))
    assert caught.value.transient is False
    assert len(asks) == len(set(asks))


@pytest.mark.parametrize("store", ["ministack"], indirect=True)
@SIZES
def test_a_storage_without_conditions_gets_its_file_and_one_that_is_there_stays(store, relay, size, caplog):
    def unheard_of(asked: Asked) -> Told | None:
        conditional = {"if-none-match", "if-match"} & set(asked.headers)
        return s3_error(501, "NotImplemented") if conditional else None

    relay.rule = unheard_of
    content = film(size)
    landing(store, content)
    landing(store, content, name="v/other.mp4")
    assert (store.read(NAME), store.read("v/other.mp4")) == (content, content)
    assert [said for said in warnings(caplog) if "knows no conditional writes" in said] == warnings(caplog)
    assert len(warnings(caplog)) == 1
    with pytest.raises(DestinationError, match="is there already"):
        landing(store, film(size + 1), "another")
    landing(store, film(size + 1), "another", own=("film",))
    assert store.read(NAME) == film(size + 1)
    assert store.unfinished_uploads() == []


@pytest.mark.parametrize("store", ["ministack"], indirect=True)
def test_who_may_not_tidy_lands_and_is_told_once(store, relay, caplog, monkeypatch):
    built: list[object] = []
    build = filesystems._build
    monkeypatch.setattr(filesystems, "_build", lambda where: built.append(where) or build(where))

    def deny(asked: Asked) -> Told | None:
        return s3_error(403, "AccessDenied") if asked.method == "GET" and "uploads" in asked.query else None

    relay.rule = deny
    for number in range(3):
        landing(store, film(SMALL), name=f"v/{number}.mp4")
    assert len(store.names()) == 3
    (said,) = warnings(caplog)
    assert f"s3://{store.bucket}/ cannot be removed from here" in said
    assert len(built) == 1


@pytest.mark.parametrize("store", ["ministack", "rgw"], indirect=True)
def test_what_a_dead_attempt_left_goes_also_where_the_file_is_there_already(store):
    content = film(SMALL)
    landing(store, content)
    store.objects.client.create_multipart_upload(Bucket=store.bucket, Key=NAME)
    assert store.unfinished_uploads() == [NAME]
    landing(store, content)
    assert store.unfinished_uploads() == []


@pytest.mark.parametrize("store", ["azurite"], indirect=True)
@pytest.mark.parametrize(
    ("code", "said", "transient"),
    [
        ("BlobImmutableDueToPolicy", "was denied to", False),
        ("ContainerBeingDeleted", "ContainerBeingDeleted", True),
    ],
)
def test_azure_refuses_for_other_reasons_than_a_name_that_is_taken(store, relay, code, said, transient):
    def refuse(asked: Asked) -> Told | None:
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
        headers = {"x-ms-error-code": code, "content-type": "application/xml"}
        return Told(409, text.encode(), headers) if asked.method == "PUT" else None

    relay.rule = refuse
    with pytest.raises(DestinationError, match=said) as caught:
        landing(store, film(SMALL), attempts=3)
    assert caught.value.transient is transient
    assert store.names() == []


def test_the_same_bytes_are_left_whoever_asked_for_them(store):
    content = film(SMALL)
    landing(store, content, "somebody-elses")
    before = place_of(parse_destination(store.uri(NAME))).find(NAME)
    landed = landing(store, content, "mine")
    after = place_of(parse_destination(store.uri(NAME))).find(NAME)
    assert landed.sha256 == hashlib.sha256(content).hexdigest()
    assert (after.request_id, after.version) == ("somebody-elses", before.version)
    for other, if_exists in ((film(SMALL)[:-1] + b"!", "same"), (content, "error")):
        with pytest.raises(DestinationError, match="is there already"):
            landing(store, other, "mine", if_exists=if_exists)


def test_a_mark_does_not_stand_for_other_bytes_of_the_same_size(store):
    landed = landing(store, film(SMALL))
    destination = parse_destination(store.uri(NAME))
    told = (destination, landed.uri, landed.size, landed.sha256, ("film",))
    assert is_landed(*told)
    facts = store.facts(NAME)
    store.put(NAME, film(SMALL)[:-1] + b"!", "video/mp4", facts.metadata)
    assert not is_landed(*told)
