"""Object storage: each call with an end, each refusal in words."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import contextmanager
from importlib import import_module
from operator import methodcaller
from typing import Any, TypeVar

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.landing.backend import Backend, Reached
from airflow_ltx.landing.destination import Destination
from airflow_ltx.landing.filesystems import filesystem, forget
from airflow_ltx.landing.parted_upload import PART, PartedUpload
from airflow_ltx.landing.place import CALL_LIMIT, Attributes, Found, Limits, Upload
from airflow_ltx.segmind.redact import quote_service
from airflow_ltx.segmind.stopping import Stopped

T = TypeVar("T")

_MODULES = {"s3": "s3", "gs": "gcs", "abfs": "azure"}
_log = logging.getLogger(__name__)
_untidy: set[str] = set()
"""Buckets of which it was said that nothing can be tidied there."""

_LOOK = 0.25


class RemotePlace:
    """See :class:`~airflow_ltx.landing.place.Place`. Its connection is read once, unless it is denied."""

    def __init__(self, destination: Destination, limits: Limits) -> None:
        self._destination = destination
        self._limits = limits
        self._reached: Reached | None = None

    def check(self, *samples: str) -> None:
        """Resolves the connection; whether it may write shows when the record is written."""
        self.reach()

    def reach(self) -> Reached:
        """The storage; resolves the connection the first time."""
        if self._reached is None:
            fs = filesystem(self._destination)
            module = import_module(f"airflow_ltx.landing.{_MODULES[self._destination.kind]}")
            self._reached = Reached(module.backend(fs, self._destination.bucket), fs.loop)
        return self._reached

    def find(self, path: str) -> Found | None:
        """See the protocol."""
        return self._call("looking at", path, lambda backend: backend.find(path))

    def sha256(self, path: str) -> str | None:
        """See the protocol."""
        found = self.find(path)
        if found is None:
            return None
        digest = hashlib.sha256()
        for start in range(0, found.size, PART):
            end = min(start + PART, found.size)
            digest.update(self._call("reading", path, methodcaller("read", path, start, end)))
        return digest.hexdigest()

    def read(self, path: str) -> bytes | None:
        """See the protocol."""

        async def content(backend: Backend) -> bytes | None:
            try:
                return await backend.read(path, None, None)
            except FileNotFoundError:
                return None

        return self._call("reading", path, content)

    def write(self, path: str, content: bytes, content_type: str) -> None:
        """See the protocol."""
        attributes = Attributes(content_type, "")
        self._call("writing", path, lambda backend: backend.put(path, content, attributes, replace=True))

    @contextmanager
    def upload(self, path: str, attributes: Attributes, *, overwrite: bool = False) -> Iterator[Upload]:
        """See the protocol."""
        with self.refusals("writing", path):
            reached = self.reach()
        upload = PartedUpload(self, reached, path, attributes, overwrite)
        try:
            yield upload
        finally:
            upload.end()
        self._tidy(path, reached)

    def _tidy(self, path: str, reached: Reached) -> None:
        """Remove what dead attempts have left. The file is there, so all that is said is that this is denied,
        and that once."""
        future: Future[None] | None = None
        try:
            future = self.call("tidying", path, lambda backend: backend.sweep(path), reached)
            self._wait_for("tidying", path, future)
            future.result()
        except PermissionError as error:
            where = self.uri("")
            if where not in _untidy:
                _untidy.add(where)
                _log.warning(
                    "What attempts that died have left in %s cannot be removed from here (%s): let the "
                    "connection list and end uploads there, or give the bucket a rule that ends them. Files "
                    "are whole without it.",
                    where,
                    quote_service(str(error)),
                )
        except Exception as error:
            _log.debug("Nothing was tidied (%s).", type(error).__name__)
        finally:
            if future is not None:
                future.cancel()

    def call(
        self,
        doing: str,
        path: str,
        work: Callable[[Backend], Coroutine[Any, Any, T]],
        reached: Reached | None = None,
    ) -> Future[T]:
        """Begin something in the storage's own event loop.

        :param reached: As what it goes on with was begun.
        """
        with self.refusals(doing, path):
            reached = reached or self.reach()
            return asyncio.run_coroutine_threadsafe(work(reached.backend), reached.loop)

    def result(self, doing: str, path: str, future: Future[T], *, undo: bool = True) -> T:
        """Wait for it, as long as the file is wanted and there is time.

        :param undo: Cancel it otherwise.
        :raises Stopped: It is not wanted any more.
        """
        try:
            self._wait_for(doing, path, future)
            with self.refusals(doing, path):
                return future.result()
        finally:
            if undo:
                future.cancel()

    def _wait_for(self, doing: str, path: str, future: Future[Any]) -> None:
        limits = self._limits
        deadline = limits.clock() + CALL_LIMIT if limits.deadline is None else limits.deadline
        while not future.done():
            wait([future], timeout=_LOOK)
            if future.done():
                return
            if limits.stop.is_set():
                raise Stopped
            if limits.clock() > deadline:
                raise _transient(f"{doing.capitalize()} {self.uri(path)} took too long.")

    def uri(self, path: str) -> str:
        """For messages."""
        return self._destination.uri(path)

    @contextmanager
    def refusals(self, doing: str, path: str) -> Iterator[None]:
        """The storage's errors as ours. Not chained: they quote signed URLs, which a traceback would show."""
        try:
            yield
        except (DestinationError, FileExistsError, Stopped):
            raise
        except CancelledError:
            raise _transient(f"{doing.capitalize()} {self.uri(path)} was cancelled.") from None
        except PermissionError as error:
            forget(self._destination)
            self._reached = None
            who = (
                f"the connection {self._destination.conn_id!r}"
                if self._destination.conn_id
                else "this process"
            )
            raise DestinationError(
                f"{doing.capitalize()} {self.uri(path)} was denied to {who} ({quote_service(str(error))})."
            ) from None
        except FileNotFoundError as error:
            raise DestinationError(
                f"{doing.capitalize()} {self.uri(path)} failed: the bucket or container "
                f"{self._destination.bucket!r} does not exist ({quote_service(str(error))})."
            ) from None
        except Exception as error:
            raise _transient(
                f"{doing.capitalize()} {self.uri(path)} failed ({type(error).__name__}: "
                f"{quote_service(str(error))})."
            ) from None

    def _call(self, doing: str, path: str, work: Callable[[Backend], Coroutine[Any, Any, T]]) -> T:
        return self.result(doing, path, self.call(doing, path, work))


def _transient(message: str) -> DestinationError:
    error = DestinationError(message)
    error.transient = True
    return error
