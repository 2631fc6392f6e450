"""A fresh bucket of a running server, as a test uses it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from servers.objects import Facts, Objects
from servers.running import StorageServer

CONN_ID = "store"


@dataclass(frozen=True)
class Store:
    server: StorageServer
    bucket: str

    @property
    def kind(self) -> str:
        return self.server.name

    @property
    def scheme(self) -> str:
        return self.server.scheme

    @property
    def connection(self) -> str:
        return self.server.connection

    @property
    def environment(self) -> dict[str, str]:
        """What another process needs to use it as this one does."""
        return {**self.server.environment, f"AIRFLOW_CONN_{CONN_ID.upper()}": self.connection}

    @cached_property
    def objects(self) -> Objects:
        return self.server.objects_of(self.connection)

    def uri(self, name: str = "", *, conn_id: str = CONN_ID) -> str:
        return f"{self.scheme}://{conn_id}@{self.bucket}/{name}"

    def names(self) -> list[str]:
        return self.objects.names(self.bucket)

    def read(self, name: str) -> bytes:
        return self.objects.read(self.bucket, name)

    def facts(self, name: str) -> Facts:
        return self.objects.facts(self.bucket, name)

    def put(
        self,
        name: str,
        data: bytes,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.objects.put(self.bucket, name, data, content_type, metadata or {})

    def unfinished_uploads(self) -> list[str]:
        return self.objects.unfinished_uploads(self.bucket)


@contextmanager
def fresh_store(server: StorageServer) -> Iterator[Store]:
    """A bucket that was not there before and is not there afterwards."""
    store = Store(server, f"test-{secrets.token_hex(8)}")
    store.objects.make_bucket(store.bucket)
    yield store
    store.objects.remove_bucket(store.bucket)
