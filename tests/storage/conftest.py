"""Fixtures: storage servers, one of a kind for each pytest process, and a fresh bucket for each test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from servers.azurite import Azurite
from servers.ceph_rgw import CephRgw
from servers.fake_gcs import FakeGcs
from servers.ministack import MiniStack
from servers.running import StorageServer
from servers.store import Store, fresh_store

KINDS: dict[str, type[StorageServer]] = {
    server.name: server for server in (MiniStack, CephRgw, FakeGcs, Azurite)
}

Servers = Callable[[str], StorageServer]


@pytest.fixture(scope="session")
def need() -> Callable[[str], None]:
    """Skip what cannot run here, except where LTX_REQUIRE_STORAGE says that everything must."""

    def check(kind: str) -> None:
        reason = KINDS[kind].missing()
        if reason is not None:
            (pytest.fail if os.environ.get("LTX_REQUIRE_STORAGE") else pytest.skip)(reason)

    return check


@pytest.fixture(scope="session")
def storage_server(
    need: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    """The running server of a kind, started when it is first asked for."""
    running: dict[str, StorageServer] = {}
    with ExitStack() as stack:

        def server(kind: str) -> StorageServer:
            if kind not in running:
                need(kind)
                running[kind] = stack.enter_context(KINDS[kind](tmp_path_factory.mktemp(kind)))
            return running[kind]

        yield server


@pytest.fixture(params=list(KINDS))
def store(
    request: pytest.FixtureRequest, storage_server: Servers, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """A fresh bucket, with the connection `store` pointing at its server.

    A test of some kinds only says so: ``parametrize("store", ["rgw", "azurite"], indirect=True)``.
    """
    with fresh_store(storage_server(request.param)) as fresh:
        for name, value in fresh.environment.items():
            monkeypatch.setenv(name, value)
        yield fresh
