"""Azure's blobs as Azurite has them. It checks keys and signatures.

What it was told in the last five seconds is lost with a kill -9, so it is never killed so here.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from azure.storage.blob import BlobServiceClient, BlobType, ContentSettings

from servers.objects import Facts
from servers.running import StorageServer, connection

_ENTRY = Path(__file__).resolve().parents[3] / ".node/node_modules/azurite/dist/src/blob/main.js"

_ACCOUNT = "devstoreaccount1"
# Published by Microsoft for every emulator.
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_WRONG_KEY = base64.b64encode(b"another key" * 5).decode()


class Azurite(StorageServer):
    name = "azurite"
    scheme = "abfs"

    @classmethod
    def missing(cls) -> str | None:
        if shutil.which("node") is None:
            return "node is not installed: get Node.js 18 or newer with npm, then make azurite"
        return None if _ENTRY.exists() else "Azurite is not installed: make azurite"

    def _launch(self) -> None:
        node = shutil.which("node")
        assert node is not None
        self._spawn(
            self.name,
            [
                node,
                str(_ENTRY),
                *("--blobHost", "127.0.0.1", "--blobPort", str(self.port.number)),
                *("--location", str(self.folder / "blobs")),
                *("--silent", "--skipApiVersionCheck", "--disableTelemetry"),
            ],
        )
        self._wait_until_it_answers()

    @property
    def connection(self) -> str:
        return self._connection(_KEY)

    @property
    def denied_connection(self) -> str:
        return self._connection(_WRONG_KEY)

    @property
    def wrong_secret_connection(self) -> str:
        return self._connection(_WRONG_KEY)

    def objects_of(self, connection: str) -> AzureObjects:
        return AzureObjects.of(connection)

    def _connection(self, key: str) -> str:
        return connection("wasb", {"connection_string": self._connection_string(key)})

    def _connection_string(self, key: str) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={key};"
            f"BlobEndpoint={self.url}/{_ACCOUNT};"
        )


class AzureObjects:
    @classmethod
    def of(cls, connection: str) -> Self:
        return cls(json.loads(connection)["extra"]["connection_string"])

    def __init__(self, connection_string: str) -> None:
        self.client = BlobServiceClient.from_connection_string(
            connection_string, retry_total=0, logging_enable=False
        )

    def make_bucket(self, bucket: str) -> None:
        self.client.create_container(bucket)

    def remove_bucket(self, bucket: str) -> None:
        self.client.delete_container(bucket)

    def names(self, bucket: str) -> list[str]:
        return sorted(self.client.get_container_client(bucket).list_blob_names())

    def read(self, bucket: str, name: str) -> bytes:
        return self.client.get_blob_client(bucket, name).download_blob().readall()

    def facts(self, bucket: str, name: str) -> Facts:
        found = self.client.get_blob_client(bucket, name).get_blob_properties()
        metadata = {key.lower(): value for key, value in found.metadata.items()}
        return Facts(found.size, found.content_settings.content_type, metadata)

    def put(
        self, bucket: str, name: str, data: bytes, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        self.client.get_blob_client(bucket, name).upload_blob(
            data,
            blob_type=BlobType.BLOCKBLOB,
            overwrite=True,
            content_settings=ContentSettings(content_type=content_type),
            metadata=dict(metadata),
        )

    def unfinished_uploads(self, bucket: str) -> list[str]:
        """Blobs with blocks that no commit has named; Azure drops those after a week."""
        container = self.client.get_container_client(bucket)
        found = [blob.name for blob in container.list_blobs(include=["uncommittedblobs"])]
        return sorted(
            name for name in found if container.get_blob_client(name).get_block_list("uncommitted")[1]
        )
