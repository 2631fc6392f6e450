"""Google Cloud Storage, over the session of a gcsfs file system."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from airflow_ltx.landing.gcs_sums import Sums
from airflow_ltx.landing.place import Attributes, Found, Replace

_MARK = "segmind-request-id"
_BINARY = "application/octet-stream"
_RANGE = re.compile(r"bytes=0-(\d{1,18})")
_NOTHING = "0"
"""The generation of a name that nothing has."""
_FRUITLESS = 5
"""Answers in a row that keep nothing of a part."""


class GCSBackend:
    """See :class:`~airflow_ltx.landing.backend.Backend`. The calls are those of the JSON API."""

    def __init__(self, fs: Any, bucket: str) -> None:
        self._fs = fs
        self.bucket = bucket

    async def call(self, method: str, path: str, *names: str, **options: Any) -> Any:
        """gcsfs' own call; what it says of a denial as the error that Python has for it."""
        try:
            return await self._fs._call(method, path, *names, **options)
        except Exception as error:
            if str(error).startswith("Forbidden: ") or getattr(error, "code", None) in (401, 403):
                raise PermissionError(str(error).replace("\n", " ")) from error
            if getattr(error, "code", None) == 412:
                raise FileExistsError(str(error)) from error
            raise

    async def find(self, key: str) -> Found | None:
        try:
            told = await self.call("GET", "b/{}/o/{}", self.bucket, key, json_out=True)
        except FileNotFoundError:
            return None
        return Found(
            int(told["size"]), (told.get("metadata") or {}).get(_MARK), version=told.get("generation")
        )

    async def read(self, key: str, start: int | None, end: int | None) -> bytes:
        content: bytes = await self._fs._cat_file(f"{self.bucket}/{key}", start=start, end=end)
        return content

    async def put(self, key: str, content: bytes, attributes: Attributes, *, replace: Replace) -> None:
        sums = Sums()
        await asyncio.to_thread(sums.update, content)
        boundary = uuid.uuid4().hex
        about = json.dumps({"name": key, **sums.told(), **_told(attributes)})
        content_type = attributes.content_type or _BINARY
        told = await self.call(
            "POST",
            self._upload_path,
            uploadType="multipart",
            headers={"Content-Type": f'multipart/related; boundary="{boundary}"'},
            data=(
                f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{about}\r\n"
                f"--{boundary}\r\nContent-Type: {content_type}\r\n\r\n"
            ).encode()
            + content
            + f"\r\n--{boundary}--".encode(),
            json_out=True,
            **_only_if(_generation(replace)),
        )
        await self.check(key, told, sums)

    async def begin(
        self, key: str, attributes: Attributes, *, replace: Callable[[], Replace], overwrite: bool
    ) -> GCSMultipart:
        seen = None if overwrite else await self.find(key)
        condition = None if overwrite else ((seen and seen.version) or _NOTHING)
        headers, _ = await self.call(
            "POST",
            self._upload_path,
            uploadType="resumable",
            json={"name": key, **_told(attributes)},
            headers={"X-Upload-Content-Type": attributes.content_type or _BINARY},
            **_only_if(condition),
        )
        return GCSMultipart(self, key, headers["Location"], condition, replace)

    async def sweep(self, key: str) -> None:
        """Nothing to do: what is not complete is charged to nobody, and goes away within a week."""

    async def check(self, key: str, told: Mapping[str, Any], sums: Sums) -> None:
        """Hold what the storage says that it has kept against what it was sent; it is gone if it differs.

        :raises OSError: It does.
        """
        wrong = sums.differs_from(told)
        if wrong is None:
            return
        with suppress(FileNotFoundError, FileExistsError):
            await self.call("DELETE", "b/{}/o/{}", self.bucket, key, **_only_if(told.get("generation")))
        raise OSError(f"the storage kept other bytes than it was sent, by its {wrong}; they were removed")

    @property
    def _upload_path(self) -> str:
        return f"{self._fs._location}/upload/storage/v1/b/{quote(self.bucket)}/o"


class GCSMultipart:
    """See :class:`~airflow_ltx.landing.backend.Multipart`.

    What it may replace is said when an upload begins: what had the name then. Whether it may is known when it
    ends: the parts make an object only with the last of them, so that one is held back until then.
    """

    def __init__(
        self,
        backend: GCSBackend,
        key: str,
        location: str,
        condition: str | None,
        replace: Callable[[], Replace],
    ) -> None:
        self._backend = backend
        self._key = key
        self._location = location
        self._condition = condition
        self._replace = replace
        self._held = b""
        self._sent = 0
        self._sums = Sums()
        self._spent = False

    async def send(self, part: bytes) -> None:
        if self._held:
            await self._chunk(self._held, None)
        self._held = part

    async def complete(self) -> None:
        if self._spent:
            raise OSError("another file was given the name while the last part was on its way")
        await self._look()
        held, self._held, self._spent = self._held, b"", True
        await self._chunk(held, self._sent + len(held))

    async def abort(self) -> None:
        # Answered with 499, which gcsfs takes for an error.
        with suppress(Exception):
            await self._backend.call("DELETE", self._location)

    async def _look(self) -> None:
        """:raises FileExistsError: The name has another file than it had, or than may be replaced."""
        if self._condition is None:
            return
        found = await self._backend.find(self._key)
        there = (found and found.version) or _NOTHING
        if there != self._condition or _generation(self._replace()) not in (None, there):
            raise FileExistsError(self._key)

    async def _chunk(self, part: bytes, total: int | None) -> None:
        """Send the next bytes, and what of them was not taken again.

        :param total: Bytes of the whole, with the last part alone.
        """
        await asyncio.to_thread(self._sums.update, part)
        rest, fruitless = memoryview(part), 0
        while rest:
            last = self._sent + len(rest) - 1
            headers = {"Content-Range": f"bytes {self._sent}-{last}/{'*' if total is None else total}"}
            if total is not None:
                headers["X-Goog-Hash"] = self._sums.header()
            answer, content = await self._backend.call(
                "POST", self._location, headers=headers, data=bytes(rest)
            )
            told = _object(content) if total is not None else None
            if told is not None:
                await self._backend.check(self._key, told, self._sums)
                return
            # It may take less than it was given, and says so.
            kept = _kept(answer)
            if not self._sent <= kept <= last + 1:
                raise OSError(f"the storage lost what it had: of {self._sent} bytes it has {kept}")
            fruitless = fruitless + 1 if kept == self._sent else 0
            if fruitless > _FRUITLESS:
                raise OSError("the storage takes no more bytes")
            rest = rest[kept - self._sent :]
            self._sent = kept
        if total is not None:
            raise OSError("the storage has all bytes and makes no object of them")


def _kept(headers: Mapping[str, str]) -> int:
    """How many bytes of the whole an answer says are there: none, if it does not say."""
    found = _RANGE.fullmatch(headers.get("Range", ""))
    return 0 if found is None else int(found[1]) + 1


def _object(content: bytes) -> dict[str, Any] | None:
    """What an answer says of the object that there is now; None if there is none yet."""
    try:
        told = json.loads(content)
    except ValueError:
        return None
    return told if isinstance(told, dict) and "size" in told else None


def _generation(replace: Replace) -> str | None:
    """The generation that a name must have to be given to a file; None if that does not matter."""
    if isinstance(replace, str):
        return replace
    return None if replace else _NOTHING


def _only_if(generation: str | None) -> dict[str, str]:
    return {} if generation is None else {"ifGenerationMatch": generation}


def _told(attributes: Attributes) -> dict[str, Any]:
    told: dict[str, Any] = {"contentType": attributes.content_type or _BINARY}
    if attributes.request_id:
        told["metadata"] = {_MARK: attributes.request_id}
    return told


backend = GCSBackend
