"""Amazon S3 and what speaks its protocol, over the client of an s3fs file system."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from airflow_ltx.landing.place import Attributes, Found, Replace
from airflow_ltx.segmind.redact import quote_service

_MARK = "segmind-request-id"
_ABORTS = 3
_log = logging.getLogger(__name__)
_unconditional: set[tuple[str, str]] = set()
"""Endpoints and buckets of which it was said that they know no conditions."""


class S3Backend:
    """See :class:`~airflow_ltx.landing.backend.Backend`. The calls are boto3's."""

    def __init__(self, fs: Any, bucket: str) -> None:
        self._fs = fs
        self.bucket = bucket

    async def call(self, method: str, **arguments: Any) -> Any:
        return await self._fs._call_s3(method, Bucket=self.bucket, **arguments)

    async def find(self, key: str) -> Found | None:
        try:
            told = await self.call("head_object", Key=key)
        except FileNotFoundError:
            return None
        mark = (told.get("Metadata") or {}).get(_MARK)
        return Found(int(told["ContentLength"]), mark, version=told.get("ETag"))

    async def read(self, key: str, start: int | None, end: int | None) -> bytes:
        content: bytes = await self._fs._cat_file(f"{self.bucket}/{key}", start=start, end=end)
        return content

    async def put(self, key: str, content: bytes, attributes: Attributes, *, replace: Replace) -> None:
        await self.give("put_object", replace, Key=key, Body=content, **_told(attributes))

    async def begin(
        self, key: str, attributes: Attributes, *, replace: Callable[[], Replace], overwrite: bool
    ) -> S3Multipart:
        told = await self.call("create_multipart_upload", Key=key, **_told(attributes))
        return S3Multipart(self, key, told["UploadId"], replace)

    async def sweep(self, key: str) -> None:
        """End all other uploads to a name whose file is there: of attempts that died, or came second."""
        told = await self.call("list_multipart_uploads", Prefix=key)
        for upload in told.get("Uploads") or ():
            if upload["Key"] == key:
                with suppress(FileNotFoundError):
                    await self.call("abort_multipart_upload", Key=key, UploadId=upload["UploadId"])

    async def give(self, method: str, replace: Replace, **arguments: Any) -> None:
        """Give a name to a file, if it is free or may be taken.

        :raises FileExistsError: It may not.
        """
        condition = _condition(replace)
        try:
            await self.call(method, **arguments, **condition)
            return
        except OSError as error:
            if not condition or not (_is_taken(error) or _is_unknown(error)):
                raise
            key: str = arguments["Key"]
            found = await self.find(key)
            if (found and found.version) != (replace or None):
                raise FileExistsError(key) from error
            if not replace and _is_taken(error):
                # It is free again by now.
                raise FileExistsError(key) from error
            if _is_unknown(error):
                self._say_once(error)
        # What was looked for is there, or nothing is: this storage does not know conditions, or (as some
        # gateways) refuses those that hold. What is left is a moment between the look and the writing.
        await self.call(method, **arguments)

    def _say_once(self, error: Exception) -> None:
        where = (str(getattr(self._fs, "endpoint_url", "")), self.bucket)
        if where not in _unconditional:
            _unconditional.add(where)
            _log.warning(
                "The storage of s3://%s knows no conditional writes (%s). What has a name is looked at just "
                "before a file gets it; two landings at the same moment may replace each other's files.",
                self.bucket,
                quote_service(str(error)),
            )


class S3Multipart:
    """See :class:`~airflow_ltx.landing.backend.Multipart`."""

    def __init__(self, backend: S3Backend, key: str, upload_id: str, replace: Callable[[], Replace]) -> None:
        self._backend = backend
        self._which = {"Key": key, "UploadId": upload_id}
        self._replace = replace
        self._parts: list[dict[str, Any]] = []

    async def send(self, part: bytes) -> None:
        number = len(self._parts) + 1
        with _still_there():
            told = await self._backend.call("upload_part", **self._which, PartNumber=number, Body=part)
        checksums = {name: value for name, value in told.items() if name.startswith("Checksum")}
        checksums.pop("ChecksumType", None)
        self._parts.append({"PartNumber": number, "ETag": told["ETag"], **checksums})

    async def complete(self) -> None:
        with _still_there():
            await self._backend.give(
                "complete_multipart_upload",
                self._replace(),
                **self._which,
                MultipartUpload={"Parts": self._parts},
            )

    async def abort(self) -> None:
        # A part that was under way may arrive after the first one, and would be kept, and charged for.
        for _ in range(_ABORTS):
            try:
                await self._backend.call("abort_multipart_upload", **self._which)
                await self._backend.call("list_parts", **self._which)
            except FileNotFoundError:
                return


@contextmanager
def _still_there() -> Iterator[None]:
    """An upload that somebody has ended is no bucket that is missing: a new one can be begun."""
    try:
        yield
    except FileNotFoundError as error:
        raise OSError(
            "the upload was ended from elsewhere, as by another landing of the same file or by a rule of the "
            f"bucket ({error})"
        ) from error


def _told(attributes: Attributes) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if attributes.content_type:
        told["ContentType"] = attributes.content_type
    if attributes.request_id:
        told["Metadata"] = {_MARK: attributes.request_id}
    return told


def _condition(replace: Replace) -> dict[str, str]:
    if isinstance(replace, str):
        return {"IfMatch": replace}
    return {} if replace else {"IfNoneMatch": "*"}


def _is_unknown(error: BaseException) -> bool:
    """A condition that the storage has never heard of."""
    answer = getattr(error.__cause__, "response", None) or {}
    code = str((answer.get("Error") or {}).get("Code", ""))
    status = (answer.get("ResponseMetadata") or {}).get("HTTPStatusCode")
    return status == 501 or code in ("NotImplemented", "501")


def _is_taken(error: BaseException) -> bool:
    """A failed ``If-None-Match``: s3fs has no error of its own for it."""
    if isinstance(error, FileExistsError):
        return True
    cause = error.__cause__
    answer = getattr(cause, "response", None) or {}
    code = str((answer.get("Error") or {}).get("Code", ""))
    return code in ("PreconditionFailed", "ConditionalRequestConflict", "412") or "PreconditionFailed" in str(
        error
    )


backend = S3Backend
