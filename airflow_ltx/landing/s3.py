"""Amazon S3 and what speaks its protocol, over the client of an s3fs file system."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from airflow_ltx.landing.place import Attributes, Found

_MARK = "segmind-request-id"
_ABORTS = 3


class S3Backend:
    """See :class:`~airflow_ltx.landing.remote_place.Backend`. The calls are boto3's."""

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
        return Found(int(told["ContentLength"]), (told.get("Metadata") or {}).get(_MARK))

    async def read(self, key: str, start: int | None, end: int | None) -> bytes:
        content: bytes = await self._fs._cat_file(f"{self.bucket}/{key}", start=start, end=end)
        return content

    async def put(self, key: str, content: bytes, attributes: Attributes, *, replace: bool) -> None:
        await self._unless_taken("put_object", replace, Key=key, Body=content, **_told(attributes))

    async def begin(self, key: str, attributes: Attributes, *, replace: Callable[[], bool]) -> S3Multipart:
        told = await self.call("create_multipart_upload", Key=key, **_told(attributes))
        return S3Multipart(self, key, told["UploadId"], replace)

    async def sweep(self, key: str) -> None:
        """End all other uploads to a name whose file is there: of attempts that died, or came second."""
        told = await self.call("list_multipart_uploads", Prefix=key)
        for upload in told.get("Uploads") or ():
            if upload["Key"] == key:
                with suppress(FileNotFoundError):
                    await self.call("abort_multipart_upload", Key=key, UploadId=upload["UploadId"])

    async def _unless_taken(self, method: str, replace: bool, **arguments: Any) -> Any:
        condition = {} if replace else {"IfNoneMatch": "*"}
        try:
            return await self.call(method, **arguments, **condition)
        except OSError as error:
            if not replace and _is_taken(error):
                raise FileExistsError(arguments["Key"]) from error
            raise


class S3Multipart:
    """See :class:`~airflow_ltx.landing.remote_place.Multipart`."""

    def __init__(self, backend: S3Backend, key: str, upload_id: str, replace: Callable[[], bool]) -> None:
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
            await self._backend._unless_taken(
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
