"""fsspec file systems from Airflow connections: one per process and connection, checked, and read again now
and then.

Not ``ObjectStoragePath``: where its connection cannot be used it goes on with whatever credentials the
process happens to have.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.landing.destination import Destination
from airflow_ltx.segmind.redact import quote_service

if TYPE_CHECKING:
    from airflow.sdk import Connection

TTL = 300.0
"""Seconds for which a connection is taken as read."""

_EXTRAS = {"s3": "amazon", "gs": "google", "abfs": "microsoft-azure"}
_OTHERS = {
    "s3": ("google_cloud_platform", "wasb", "segmind"),
    "gs": ("aws", "wasb", "segmind"),
    "abfs": ("aws", "google_cloud_platform", "segmind"),
}

_Key = tuple[int, str, str | None]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entry:
    """What is known of one connection; reading one that hangs holds up no other."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    fs: Any = None
    read_at: float = 0.0
    connection: str | None = None


_lock = threading.Lock()
_entries: dict[_Key, _Entry] = {}


def filesystem(destination: Destination) -> Any:
    """The file system of a destination; safe in threads, not within a running event loop.

    :raises DestinationError: The connection does not exist or cannot be used, or the extra is not installed.
    """
    with _lock:
        entry = _entries.setdefault(_key(destination), _Entry())
    with entry.lock:
        if entry.fs is None or time.monotonic() - entry.read_at >= TTL:
            connection = _read_again(destination, entry)
            if entry.fs is None or entry.connection != connection:
                entry.fs, entry.connection = _build(destination), connection
            entry.read_at = time.monotonic()
        return entry.fs


def forget(destination: Destination) -> None:
    """Read the connection again at the next use: the storage has refused its credentials."""
    with _lock:
        _entries.pop(_key(destination), None)


class _NotRead(DestinationError):
    """There is no such connection, or none could be read: where a secrets backend has trouble for a moment,
    Airflow may say either."""


def _read_again(destination: Destination, entry: _Entry) -> str | None:
    """What is known is used on while nothing newer can be read: a landing is paid for."""
    try:
        return _read_connection(destination)
    except _NotRead as error:
        if entry.fs is None:
            raise
        _log.warning("%s What was read of it before is used on.", error.message)
        return entry.connection


def _key(destination: Destination) -> _Key:
    # The process id is in it since sockets that were forked along are the parent's.
    return (os.getpid(), destination.kind, destination.conn_id)


def _read_connection(destination: Destination) -> str:
    """By what one sees whether it has changed; none of its secrets."""
    conn_id = destination.conn_id
    if conn_id is None:
        return ""
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        connection: Connection = Connection.get(conn_id)
    except AirflowNotFoundException:
        raise _refused(
            f"The connection {conn_id!r} of the destination does not exist. Create it, or correct the "
            f"destination {destination.uri(destination.path)}",
            _NotRead,
        ) from None
    except Exception as error:
        # Not chained, here and below: such texts quote passwords and signed URLs, and a traceback shows them.
        kind = DestinationError if isinstance(error, PermissionError) else _NotRead
        raise kind(
            f"The connection {conn_id!r} of the destination could not be read ({type(error).__name__})."
        ) from None
    if connection.conn_type in _OTHERS[destination.kind]:
        # Its password would be given to another service.
        raise _refused(
            f"The connection {conn_id!r} has the type {connection.conn_type}, which is none of "
            f"{destination.scheme}://"
        )
    return hashlib.sha256(connection.get_uri().encode()).hexdigest()


def _build(destination: Destination) -> Any:
    from airflow.sdk.io import get_fs, has_fs

    extra = _EXTRAS[destination.kind]
    missing = (
        f"{destination.scheme}:// needs the extra {extra!r}, which is not installed here: "
        f"pip install 'airflow-provider-ltx[{extra}]', on workers and triggerers"
    )
    if not has_fs(destination.kind):
        raise _refused(missing)
    try:
        return get_fs(destination.kind, destination.conn_id)
    except ImportError as error:
        raise _refused(f"{missing} ({error})") from None
    except Exception as error:
        who = (
            f"connection {destination.conn_id!r}"
            if destination.conn_id
            else "environment, as the destination names no connection"
        )
        raise DestinationError(
            f"{destination.scheme}:// cannot be used with the {who} ({type(error).__name__}: "
            f"{quote_service(str(error))})."
        ) from None


def _refused(why: str, kind: type[DestinationError] = DestinationError) -> DestinationError:
    error = kind(f"{why}. Nothing was written.")
    error.retryable = False
    return error
