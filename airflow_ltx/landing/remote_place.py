"""Object storage: each call with an end, each upload in parts, each refusal in words."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import contextmanager, suppress
from importlib import import_module
from operator import methodcaller
from typing import Any, Protocol, TypeVar

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.landing.destination import Destination
from airflow_ltx.landing.filesystems import filesystem, forget
from airflow_ltx.landing.place import CALL_LIMIT, Attributes, Found, Limits, Replace, Upload
from airflow_ltx.segmind.redact import quote_service
from airflow_ltx.segmind.stopping import Stopped
from airflow_ltx.segmind.whole_file import Written

T = TypeVar("T")

PART = 8 * 1024**2
"""Bytes that go up at once. Two are in memory: one on its way, one being filled."""

_log = logging.getLogger(__name__)
_untidy: set[str] = set()
"""Buckets of which it was said that nothing can be tidied there."""

_LOOK = 0.25
_LAST_WORDS = 20.0


class Multipart(Protocol):
    """A file that goes up in parts, none of which is seen before :meth:`complete`."""

    async def send(self, part: bytes) -> None: ...
    async def complete(self) -> None: ...
    async def abort(self) -> None: ...


class Backend(Protocol):
    """One kind of object storage. Names that are not there are None, or raise ``FileNotFoundError``."""

    async def find(self, key: str) -> Found | None: ...
    async def read(self, key: str, start: int | None, end: int | None) -> bytes: ...
    async def put(self, key: str, content: bytes, attributes: Attributes, *, replace: Replace) -> None: ...
    async def begin(
        self, key: str, attributes: Attributes, *, replace: Callable[[], Replace], overwrite: bool
    ) -> Multipart: ...
    async def sweep(self, key: str) -> None: ...


class RemotePlace:
    """See :class:`~airflow_ltx.landing.place.Place`."""

    def __init__(self, destination: Destination, limits: Limits) -> None:
        self._destination = destination
        self._limits = limits

    def check(self) -> None:
        """Resolves the connection; whether it may write shows when the record is written."""
        filesystem(self._destination)

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
        upload = _PartedUpload(self, path, attributes, overwrite)
        try:
            yield upload
        finally:
            upload.end()
        self._tidy(path)

    def _tidy(self, path: str) -> None:
        """Remove what dead attempts have left. The file is there, so all that is said is that this is denied,
        and that once."""
        future = self.call("tidying", path, lambda backend: backend.sweep(path))
        try:
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
        except Stopped:
            raise
        except Exception as error:
            _log.debug("Nothing was tidied (%s).", type(error).__name__)
        finally:
            future.cancel()

    def call(self, doing: str, path: str, work: Callable[[Backend], Coroutine[Any, Any, T]]) -> Future[T]:
        """Begin something in the storage's own event loop."""
        with self.refusals(doing, path):
            fs = filesystem(self._destination)
            backend: Backend = import_module(
                f"airflow_ltx.landing.{_MODULES[self._destination.kind]}"
            ).backend(fs, self._destination.bucket)
            return asyncio.run_coroutine_threadsafe(work(backend), fs.loop)

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


_MODULES = {"s3": "s3", "gs": "gcs", "abfs": "azure"}


class _PartedUpload:
    """A small file in one request when it is published, a large one in parts as it comes."""

    def __init__(self, place: RemotePlace, path: str, attributes: Attributes, overwrite: bool) -> None:
        self._place = place
        self._path = path
        self._attributes = attributes
        self._overwrite = overwrite
        self._buffer = bytearray()
        self._digest = hashlib.sha256()
        self._multipart: Multipart | None = None
        self._beginning: Future[Multipart] | None = None
        self._under_way: Future[None] | None = None
        # A future that is cancelled is done at once, while what it stands for still has to unwind.
        self._turn = asyncio.Lock()
        self._replace: Replace = overwrite
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Append; blocks while an earlier part is still under way."""
        self._digest.update(chunk)
        self.size += len(chunk)
        rest = memoryview(chunk)
        while rest:
            room = PART - len(self._buffer)
            self._buffer += rest[:room]
            rest = rest[room:]
            if rest:
                self._send()

    def written(self) -> Written:
        """Size and hash so far."""
        return Written(self.size, self._digest.hexdigest())

    def publish(self, *, replace: Replace) -> None:
        """See the protocol."""
        self._replace = replace
        try:
            if self._multipart is None:
                content = bytes(self._buffer)
                self._do(lambda backend: backend.put(self._path, content, self._attributes, replace=replace))
            else:
                multipart = self._multipart
                if self._buffer:
                    self._send()
                self._settle()
                self._do(lambda backend: self._in_turn(multipart.complete))
        except (DestinationError, FileExistsError):
            # Its answer may be lost, or another process that lands the same request has won.
            if not self._is_ours():
                raise
        else:
            self._multipart = None

    def end(self) -> None:
        """Leave nothing behind that was not published. Also when nobody wants the file any more."""
        if self._under_way is not None:
            self._under_way.cancel()
        if self._beginning is not None:
            wait([self._beginning], timeout=_LAST_WORDS)
            if self._beginning.done() and not self._beginning.exception():
                self._multipart = self._beginning.result()
        multipart, self._multipart = self._multipart, None
        if multipart is not None:
            # What had led here is the error to be seen.
            with suppress(DestinationError):
                aborting = self._place.call(
                    "giving up", self._path, lambda backend: self._in_turn(multipart.abort)
                )
                wait([aborting], timeout=_LAST_WORDS)
                aborting.cancel()

    def _is_ours(self) -> bool:
        try:
            found = self._place.find(self._path)
        except DestinationError:
            return False
        return found == Found(self.size, self._attributes.request_id)

    def _send(self) -> None:
        if self._multipart is None:
            self._beginning = self._place.call(
                "writing",
                self._path,
                lambda backend: backend.begin(
                    self._path,
                    self._attributes,
                    replace=lambda: self._replace,
                    overwrite=self._overwrite,
                ),
            )
            # Not cancelled: what the storage has begun has to be ended, and only its answer names it.
            self._multipart = self._place.result("writing", self._path, self._beginning, undo=False)
            self._beginning = None
        self._settle()
        multipart, part = self._multipart, bytes(self._buffer)
        self._buffer.clear()
        self._under_way = self._place.call(
            "writing", self._path, lambda backend: self._in_turn(multipart.send, part)
        )

    async def _in_turn(self, step: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        async with self._turn:
            await step(*arguments)

    def _settle(self) -> None:
        if self._under_way is not None:
            self._place.result("writing", self._path, self._under_way)
            self._under_way = None

    def _do(self, work: Callable[[Backend], Coroutine[Any, Any, T]]) -> T:
        return self._place.result("writing", self._path, self._place.call("writing", self._path, work))


def _transient(message: str) -> DestinationError:
    error = DestinationError(message)
    error.transient = True
    return error
