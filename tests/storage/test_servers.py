"""The servers themselves, with their own clients only: what other tests take for granted of them."""

from __future__ import annotations

import socket

import psutil
import pytest
from servers.azurite import Azurite
from servers.ceph_rgw import CephRgw
from servers.fake_gcs import FakeGcs
from servers.ministack import MiniStack

CHECKING = [CephRgw.name, Azurite.name]
"""Those that look at keys."""


def refusal(connection, store):
    """What the backend's own client is told when it writes with another connection."""
    with pytest.raises(Exception) as caught:
        store.server.objects_of(connection).put(store.bucket, "name", b"x", "text/plain", {})
    return str(caught.value)


def test_what_was_put_is_there_with_its_type_and_metadata_and_no_other_name(store):
    assert store.names() == []
    store.put("films/a b.mp4", b"bytes", "video/mp4", {"sha256": "0a"})
    assert store.names() == ["films/a b.mp4"]
    assert store.read("films/a b.mp4") == b"bytes"
    facts = store.facts("films/a b.mp4")
    assert (facts.size, facts.content_type) == (5, "video/mp4")
    assert facts.metadata == {"sha256": "0a"}
    assert store.unfinished_uploads() == []


@pytest.mark.parametrize("store", [MiniStack.name, FakeGcs.name], indirect=True)
def test_more_names_than_fit_a_page_are_listed(store):
    for number in range(1005):
        store.put(f"{number:04}", b"")
    assert store.names() == [f"{number:04}" for number in range(1005)]


@pytest.mark.parametrize("store", [MiniStack.name, CephRgw.name], indirect=True)
def test_an_upload_without_an_end_is_listed(store):
    part = {"Bucket": store.bucket, "Key": "name"}
    upload = store.objects.client.create_multipart_upload(**part)["UploadId"]
    store.objects.client.upload_part(**part, UploadId=upload, PartNumber=1, Body=b"x")
    assert store.unfinished_uploads() == ["name"]
    assert store.names() == []


@pytest.mark.parametrize("store", [Azurite.name], indirect=True)
@pytest.mark.parametrize("there", [False, True])
def test_a_block_that_was_not_committed_is_listed(store, there):
    if there:
        store.put("name", b"before")
    store.objects.client.get_blob_client(store.bucket, "name").stage_block("MDAx", b"x")
    assert store.unfinished_uploads() == ["name"]
    assert store.names() == (["name"] if there else [])


@pytest.mark.parametrize("store", CHECKING, indirect=True)
def test_a_wrong_secret_is_refused(store):
    told = refusal(store.server.wrong_secret_connection, store)
    assert {"rgw": "SignatureDoesNotMatch", "azurite": "AuthorizationFailure"}[store.kind] in told
    assert store.names() == []


@pytest.mark.parametrize("store", CHECKING, indirect=True)
def test_who_has_no_right_to_a_bucket_is_refused(store):
    told = refusal(store.server.denied_connection, store)
    assert {"rgw": "AccessDenied", "azurite": "AuthorizationFailure"}[store.kind] in told
    assert store.names() == []


@pytest.mark.parametrize("store", [CephRgw.name], indirect=True)
def test_the_stranger_has_a_good_account_of_its_own(store):
    theirs = store.server.objects_of(store.server.denied_connection)
    bucket = f"{store.bucket}-theirs"
    theirs.make_bucket(bucket)
    theirs.put(bucket, "name", b"x", "text/plain", {})
    assert theirs.read(bucket, "name") == b"x"
    theirs.remove_bucket(bucket)


@pytest.mark.parametrize(("kind", "how"), [(CephRgw, "apt-get install"), (Azurite, "make azurite")])
def test_what_is_not_installed_is_skipped_or_fails_where_nothing_may_be_skipped(kind, how, need, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("LTX_REQUIRE_STORAGE", raising=False)
    with pytest.raises(pytest.skip.Exception, match=how):
        need(kind.name)
    monkeypatch.setenv("LTX_REQUIRE_STORAGE", "1")
    with pytest.raises(pytest.fail.Exception, match=how):
        need(kind.name)


@pytest.mark.parametrize("kind", [MiniStack, CephRgw, FakeGcs, Azurite], ids=lambda kind: kind.name)
def test_nothing_is_left_of_a_server_that_was_stopped(kind, need, tmp_path):
    need(kind.name)
    with kind(tmp_path / "server") as server:
        pids = server.pids()
        assert len(pids) == (3 if kind is CephRgw else 1)
        listening = {
            address.laddr.ip
            for pid in pids
            for address in psutil.Process(pid).net_connections("tcp")
            if address.status == psutil.CONN_LISTEN
        }
    assert listening == {"127.0.0.1"}
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
    assert not server.folder.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port.number), timeout=5)
