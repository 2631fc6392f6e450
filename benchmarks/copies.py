"""What a team would write by hand to copy a file from a URL to a bucket, with each backend's SDK.

``one_at_a_time`` reads a part, sends it, and reads the next: little memory, one part in flight. ``default``
is the call that the SDK's documentation shows for a stream, with its own buffers and threads.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

PART = 8 * 1024**2
"""Bytes; as large as those of a landing."""


@dataclass(frozen=True)
class Copy:
    """A copy to be made in a process of its own, like a :class:`writers.Job`.

    ``how``: a method of a class below.
    """

    how: str
    kind: str
    environment: Mapping[str, str]
    connection: str
    bucket: str
    name: str
    url: str

    def land(self) -> dict[str, Any]:
        make = {"s3": S3, "gs": Gcs, "abfs": Azure}[self.kind]
        with opened(self.url) as source:
            getattr(make(self.connection, self.bucket, self.name), self.how)(source)
        return {"size": source.told, "sha256": source.digest.hexdigest()}


class Source:
    """A body as the SDKs want it: a file that can be read once. Hashed as it passes, as a landing's is."""

    def __init__(self, response: httpx.Response) -> None:
        self._chunks = response.iter_raw(65_536)
        self._held = b""
        self.size = int(response.headers["content-length"])
        self.told = 0
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        held = [self._held]
        count = len(self._held)
        while size < 0 or count < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            held.append(chunk)
            count += len(chunk)
        content = b"".join(held)
        answer, self._held = (content, b"") if size < 0 else (content[:size], content[size:])
        self.told += len(answer)
        self.digest.update(answer)
        return answer

    def tell(self) -> int:
        return self.told

    def parts(self) -> Iterator[bytes]:
        while part := self.read(PART):
            yield part


@contextmanager
def opened(url: str) -> Iterator[Source]:
    with httpx.stream("GET", url, trust_env=False) as response:
        yield Source(response.raise_for_status())


class S3:
    """boto3."""

    def __init__(self, connection: str, bucket: str, name: str) -> None:
        from servers.s3 import S3Objects

        self._client = S3Objects.of(connection).client
        self._where = {"Bucket": bucket, "Key": name}

    def one_at_a_time(self, source: Source) -> None:
        upload = {
            **self._where,
            "UploadId": self._client.create_multipart_upload(**self._where)["UploadId"],
        }
        parts = []
        for number, part in enumerate(source.parts(), 1):
            told = self._client.upload_part(**upload, PartNumber=number, Body=part)
            checksums = {key: value for key, value in told.items() if key.startswith("Checksum")}
            checksums.pop("ChecksumType", None)
            parts.append({"PartNumber": number, "ETag": told["ETag"], **checksums})
        self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})

    def default(self, source: Source) -> None:
        self._client.upload_fileobj(source, *self._where.values())


class Gcs:
    """google-cloud-storage."""

    def __init__(self, connection: str, bucket: str, name: str) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        endpoint = json.loads(connection)["extra"]["gcs.endpoint"]
        client = storage.Client(
            project="test", credentials=AnonymousCredentials(), client_options={"api_endpoint": endpoint}
        )
        self._blob = client.bucket(bucket).blob(name)

    def one_at_a_time(self, source: Source) -> None:
        with self._blob.open("wb", chunk_size=PART, ignore_flush=True) as file:
            for part in source.parts():
                file.write(part)

    def default(self, source: Source) -> None:
        self._blob.upload_from_file(source, size=source.size)


class Azure:
    """azure-storage-blob."""

    def __init__(self, connection: str, bucket: str, name: str) -> None:
        from servers.azurite import AzureObjects

        self._blob = AzureObjects.of(connection).client.get_blob_client(bucket, name)

    def one_at_a_time(self, source: Source) -> None:
        from azure.storage.blob import BlobBlock

        blocks = []
        for part in source.parts():
            block = base64.b64encode(os.urandom(15)).decode()
            self._blob.stage_block(block, part)
            blocks.append(BlobBlock(block))
        self._blob.commit_block_list(blocks)

    def default(self, source: Source) -> None:
        self._blob.upload_blob(source, length=source.size)
