"""Connections of destinations: kept for a while, one at a time, and never shown."""

from __future__ import annotations

import logging
import threading
import traceback
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.landing import filesystems
from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.place import Limits
from airflow_ltx.landing.remote_place import RemotePlace

SECRET = "5ecret-value"
SIGNED = f"PUT https://store.example/b/o?upload_id=A&X-Amz-Signature={SECRET} said no"


def destination(conn_id: str = "store"):
    return parse_destination(f"s3://{conn_id}@bucket/v/")


@pytest.fixture(autouse=True)
def connections(monkeypatch):
    monkeypatch.setattr(filesystems, "_entries", {})
    for name in ("store", "other"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", f"aws://key:{SECRET}@")


@pytest.fixture
def built(monkeypatch):
    """How file systems are built, without the libraries."""
    built: list[str] = []

    def build(destination):
        built.append(destination.conn_id)
        return object()

    monkeypatch.setattr(filesystems, "_build", build)
    return built


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def test_a_connection_is_built_once_and_again_when_it_has_changed(built, monkeypatch):
    first = filesystems.filesystem(destination())
    assert filesystems.filesystem(destination()) is first
    monkeypatch.setattr(filesystems, "TTL", 0.0)
    assert filesystems.filesystem(destination()) is first
    monkeypatch.setenv("AIRFLOW_CONN_STORE", "aws://key:another@")
    assert filesystems.filesystem(destination()) is not first
    assert built == ["store", "store"]


def test_what_is_kept_of_a_connection_shows_no_secret(built):
    filesystems.filesystem(destination())
    assert SECRET not in repr(filesystems._entries)


def test_a_connection_that_hangs_holds_up_no_other(built, monkeypatch):
    hanging, go_on = threading.Event(), threading.Event()
    read = filesystems._read_connection

    def slowly(wanted):
        if wanted.conn_id == "store":
            hanging.set()
            go_on.wait(30)
        return read(wanted)

    monkeypatch.setattr(filesystems, "_read_connection", slowly)
    with ThreadPoolExecutor() as executor:
        first = executor.submit(filesystems.filesystem, destination())
        assert hanging.wait(10)
        try:
            other = executor.submit(filesystems.filesystem, destination("other"))
            assert other.result(10) is not None
        finally:
            go_on.set()
        assert first.result(10) is not None


def test_a_library_that_cannot_be_set_up_is_quoted_without_secrets(monkeypatch):
    def get_fs(*arguments):
        raise ValueError(SIGNED)

    monkeypatch.setattr("airflow.sdk.io.has_fs", lambda scheme: True)
    monkeypatch.setattr("airflow.sdk.io.get_fs", get_fs)
    with pytest.raises(DestinationError, match="cannot be used with the connection 'store'") as caught:
        filesystems.filesystem(destination())
    assert SECRET not in shown(caught.value)
    assert "said no" in str(caught.value)


@pytest.mark.parametrize("kind", [PermissionError, FileNotFoundError, OSError, ValueError])
def test_a_storage_that_refuses_is_quoted_without_secrets(kind, caplog):
    place = RemotePlace(destination(), Limits())
    answered: Future[None] = Future()
    answered.set_exception(kind(SIGNED))
    with pytest.raises(DestinationError, match=r"s3://bucket/v/x\.mp4") as caught:
        place.result("writing", "v/x.mp4", answered)
    logging.getLogger(__name__).error("it failed", exc_info=caught.value)
    assert SECRET not in shown(caught.value) + caplog.text
    assert "said no" in str(caught.value)


@pytest.mark.parametrize("error", [ConnectionError("no answer"), AirflowNotFoundException("not there")])
def test_a_connection_that_cannot_be_read_again_is_used_on(built, monkeypatch, caplog, error):
    first = filesystems.filesystem(destination())
    monkeypatch.setattr(filesystems, "TTL", 0.0)

    def read(conn_id):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr("airflow.sdk.Connection.get", read)
        assert filesystems.filesystem(destination()) is first
        with pytest.raises(DestinationError, match="The connection 'other'"):
            filesystems.filesystem(destination("other"))
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.endswith("What was read of it before is used on.")
    monkeypatch.setenv("AIRFLOW_CONN_STORE", "aws://key:another@")
    assert filesystems.filesystem(destination()) is not first


def test_a_connection_that_is_denied_or_of_another_type_by_now_is_not_used_on(built, monkeypatch):
    filesystems.filesystem(destination())
    monkeypatch.setattr(filesystems, "TTL", 0.0)
    monkeypatch.setenv("AIRFLOW_CONN_STORE", f"wasb://key:{SECRET}@")
    with pytest.raises(DestinationError, match="has the type wasb"):
        filesystems.filesystem(destination())

    def denied(conn_id):
        raise PermissionError(f"not for this task: {SECRET}")

    monkeypatch.setattr("airflow.sdk.Connection.get", denied)
    with pytest.raises(DestinationError, match="could not be read") as caught:
        filesystems.filesystem(destination())
    assert SECRET not in shown(caught.value)
