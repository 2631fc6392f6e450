"""Azure Blob Storage, over the client of an adlfs file system.

Not adlfs' own files: they publish what was written so far when they are closed by an error.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from airflow_ltx.landing.place import Attributes, Found, Replace

_MARK = "segmind_request_id"
"""Names of metadata must be identifiers here."""
_TAKEN = ("BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet", "ResourceAlreadyExists")
_KEPT = ("BlobImmutableDueToPolicy", "LeaseIdMissing", "BlobUsesCustomerSpecifiedEncryption")
"""A file that may not be replaced by anybody, or not from here. No wait mends that."""


class AzureBackend:
    """See :class:`~airflow_ltx.landing.backend.Backend`."""

    def __init__(self, fs: Any, container: str) -> None:
        self._fs = fs
        self._container = container

    @asynccontextmanager
    async def blob(self, key: str) -> AsyncIterator[Any]:
        """A client of one blob; the service's errors as Python's."""
        from azure.core.exceptions import (
            ClientAuthenticationError,
            HttpResponseError,
            ResourceExistsError,
            ResourceModifiedError,
            ResourceNotFoundError,
        )

        try:
            async with self._fs.service_client.get_blob_client(self._container, key) as client:
                yield client
        except ResourceNotFoundError as error:
            raise FileNotFoundError(_first_line(error)) from error
        except (ResourceExistsError, ResourceModifiedError) as error:
            # One that the library knows is a member of an enumeration, any other a string.
            code = getattr(error, "error_code", None)
            code = getattr(code, "value", code)
            if code in _TAKEN:
                raise FileExistsError(key) from error
            if code in _KEPT:
                raise PermissionError(_first_line(error)) from error
            raise OSError(_first_line(error)) from error
        except ClientAuthenticationError as error:
            raise PermissionError(_first_line(error)) from error
        except HttpResponseError as error:
            if error.status_code == 403:
                raise PermissionError(_first_line(error)) from error
            raise OSError(_first_line(error)) from error

    async def find(self, key: str) -> Found | None:
        try:
            async with self.blob(key) as blob:
                told = await blob.get_blob_properties()
        except FileNotFoundError:
            return None
        return Found(int(told.size), (told.metadata or {}).get(_MARK), version=told.etag)

    async def read(self, key: str, start: int | None, end: int | None) -> bytes:
        async with self.blob(key) as blob:
            length = None if end is None else end - (start or 0)
            stream = await blob.download_blob(offset=start, length=length, max_concurrency=1)
            content: bytes = await stream.readall()
            return content

    async def put(self, key: str, content: bytes, attributes: Attributes, *, replace: Replace) -> None:
        async with self.blob(key) as blob:
            await blob.upload_blob(
                content,
                length=len(content),
                overwrite=bool(replace),
                validate_content=True,
                **_told(attributes),
                **_condition(replace),
            )

    async def begin(
        self, key: str, attributes: Attributes, *, replace: Callable[[], Replace], overwrite: bool
    ) -> AzureMultipart:
        return AzureMultipart(self, key, attributes, replace)

    async def sweep(self, key: str) -> None:
        """Nothing to do: blocks that were not committed went when the blob was."""


class AzureMultipart:
    """See :class:`~airflow_ltx.landing.backend.Multipart`. The ids of its blocks are its own."""

    def __init__(
        self, backend: AzureBackend, key: str, attributes: Attributes, replace: Callable[[], Replace]
    ) -> None:
        self._backend = backend
        self._key = key
        self._attributes = attributes
        self._replace = replace
        self._writer = uuid.uuid4().hex
        self._blocks: list[str] = []

    async def send(self, part: bytes) -> None:
        block = base64.b64encode(f"{self._writer}-{len(self._blocks):06}".encode()).decode()
        async with self._backend.blob(self._key) as blob:
            await blob.stage_block(block, part, length=len(part), validate_content=True)
        self._blocks.append(block)

    async def complete(self) -> None:
        from azure.storage.blob import BlobBlock

        async with self._backend.blob(self._key) as blob:
            await blob.commit_block_list(
                [BlobBlock(block) for block in self._blocks],
                **_told(self._attributes),
                **_condition(self._replace()),
            )

    async def abort(self) -> None:
        """Nothing to do: blocks that nobody commits go away within a week."""


def _condition(replace: Replace) -> dict[str, Any]:
    from azure.core import MatchConditions

    if isinstance(replace, str):
        return {"etag": replace, "match_condition": MatchConditions.IfNotModified}
    return {} if replace else {"match_condition": MatchConditions.IfMissing}


def _told(attributes: Attributes) -> dict[str, Any]:
    from azure.storage.blob import ContentSettings

    told: dict[str, Any] = {}
    if attributes.content_type:
        told["content_settings"] = ContentSettings(content_type=attributes.content_type)
    if attributes.request_id:
        told["metadata"] = {_MARK: attributes.request_id}
    return told


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


backend = AzureBackend
