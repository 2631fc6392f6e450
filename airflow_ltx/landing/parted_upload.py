"""An upload to object storage: in one request if it is small, in parts as they come if it is not."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.landing.backend import Backend, Multipart, Reached
from airflow_ltx.landing.place import Attributes, Found, Replace
from airflow_ltx.segmind.whole_file import Written

if TYPE_CHECKING:
    from airflow_ltx.landing.remote_place import RemotePlace

T = TypeVar("T")

PART = 8 * 1024**2
"""Bytes that go up at once. Two are in memory: one on its way, one being filled."""

_LAST_WORDS = 20.0


class PartedUpload:
    """A small file in one request when it is published, a large one in parts as it comes: all by one
    connection, whatever becomes of it meanwhile, since only that one can also end it."""

    def __init__(
        self, place: RemotePlace, reached: Reached, path: str, attributes: Attributes, overwrite: bool
    ) -> None:
        self._place = place
        self._reached = reached
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
                aborting = self._begin(lambda backend: self._in_turn(multipart.abort), "giving up")
                wait([aborting], timeout=_LAST_WORDS)
                aborting.cancel()

    def _is_ours(self) -> bool:
        mine = Found(self.size, self._attributes.request_id)
        try:
            # By its bytes as well: the file host may have sent others of the same size to another process.
            return (
                self._place.find(self._path) == mine
                and self._place.sha256(self._path) == self.written().sha256
            )
        except DestinationError:
            return False

    def _begin(self, work: Callable[[Backend], Coroutine[Any, Any, T]], doing: str = "writing") -> Future[T]:
        return self._place.call(doing, self._path, work, self._reached)

    def _send(self) -> None:
        if self._multipart is None:
            self._beginning = self._begin(
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
        self._under_way = self._begin(lambda backend: self._in_turn(multipart.send, part))

    async def _in_turn(self, step: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        async with self._turn:
            await step(*arguments)

    def _settle(self) -> None:
        if self._under_way is not None:
            self._place.result("writing", self._path, self._under_way)
            self._under_way = None

    def _do(self, work: Callable[[Backend], Coroutine[Any, Any, T]]) -> T:
        return self._place.result("writing", self._path, self._begin(work))
