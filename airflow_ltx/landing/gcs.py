"""Google Cloud Storage, over the session of a gcsfs file system."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from airflow_ltx.landing.place import Attributes, Found

_MARK = "segmind-request-id"
_BINARY = "application/octet-stream"
_RANGE = re.compile(r"bytes=0-(\d+)")


class GCSBackend:
    """See :class:`~airflow_ltx.landing.remote_place.Backend`. The calls are those of the JSON API."""

    def __init__(self, fs: Any, bucket: str) -> None:
        self.fs = fs
        self.bucket = bucket

    async def find(self, key: str) -> Found | None:
        try:
            told = await self.fs._call("GET", "b/{}/o/{}", self.bucket, key, json_out=True)
        except FileNotFoundError:
            return None
        return Found(int(told["size"]), (told.get("metadata") or {}).get(_MARK))

    async def read(self, key: str, start: int | None, end: int | None) -> bytes:
        content: bytes = await self.fs._cat_file(f"{self.bucket}/{key}", start=start, end=end)
        return content

    async def put(self, key: str, content: bytes, attributes: Attributes, *, replace: bool) -> None:
        from gcsfs.core import simple_upload

        await _unless_taken(
            simple_upload(
                self.fs,
                self.bucket,
                key,
                content,
                metadatain=_metadata(attributes),
                content_type=attributes.content_type or _BINARY,
                mode="overwrite" if replace else "create",
            ),
            key,
            replace,
        )

    async def begin(self, key: str, attributes: Attributes, *, replace: Callable[[], bool]) -> GCSMultipart:
        from gcsfs.core import initiate_upload

        content_type = attributes.content_type or _BINARY
        location = await initiate_upload(
            self.fs, self.bucket, key, content_type=content_type, metadata=_metadata(attributes)
        )
        return GCSMultipart(self, key, str(location), content_type, replace)

    async def sweep(self, key: str) -> None:
        """Nothing to do: what is not complete is charged to nobody, and goes away within a week."""


class GCSMultipart:
    """See :class:`~airflow_ltx.landing.remote_place.Multipart`.

    Whether a name may be replaced is said when an upload begins, and known when it ends: the parts make an
    object only with the last of them, so that one is held back until then.
    """

    def __init__(
        self, backend: GCSBackend, key: str, location: str, content_type: str, replace: Callable[[], bool]
    ) -> None:
        self._backend = backend
        self._key = key
        self._location = location
        self._content_type = content_type
        self._replace = replace
        self._held = b""
        self._sent = 0

    async def send(self, part: bytes) -> None:
        if self._held:
            await self._chunk(self._held, "*")
        self._held = part

    async def complete(self) -> None:
        if not self._replace() and await self._backend.find(self._key) is not None:
            raise FileExistsError(self._key)
        held, self._held = self._held, b""
        await self._chunk(held, str(self._sent + len(held)))

    async def abort(self) -> None:
        # Answered with 499, which gcsfs takes for an error.
        with suppress(Exception):
            await self._backend.fs._call("DELETE", self._location)

    async def _chunk(self, part: bytes, total: str) -> None:
        rest = memoryview(part)
        while True:
            last = self._sent + len(rest) - 1
            headers, _ = await self._backend.fs._call(
                "POST",
                self._location,
                headers={
                    "Content-Range": f"bytes {self._sent}-{last}/{total}",
                    "Content-Type": self._content_type,
                },
                data=bytes(rest),
            )
            kept = _kept(headers)
            if total != "*" or kept is None or kept > last:
                self._sent = last + 1
                return
            # It took less than it was given, and says so.
            rest = rest[kept - self._sent :]
            self._sent = kept


def _kept(headers: Mapping[str, str]) -> int | None:
    """How many bytes of the whole an answer says are there."""
    found = _RANGE.fullmatch(headers.get("Range", ""))
    return None if found is None else int(found[1]) + 1


async def _unless_taken(call: Any, key: str, replace: bool) -> None:
    try:
        await call
    except Exception as error:
        if not replace and (isinstance(error, FileExistsError) or getattr(error, "code", None) == 412):
            raise FileExistsError(key) from error
        raise


def _metadata(attributes: Attributes) -> dict[str, str] | None:
    return {_MARK: attributes.request_id} if attributes.request_id else None


backend = GCSBackend
