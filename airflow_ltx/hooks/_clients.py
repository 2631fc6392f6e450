"""One client per configuration in a process, and per event loop for the async one; one budget per key.

A client holds a connection pool and a TLS context; one per poll costs some 20 ms of CPU, one per trigger its
memory. Nothing is keyed by connection id alone, so a changed key or host gets a client of its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow_ltx import metrics
from airflow_ltx.segmind.account import Account
from airflow_ltx.segmind.endpoints import ClientConfig

if TYPE_CHECKING:
    from airflow_ltx.segmind.async_client import AsyncSegmindClient
    from airflow_ltx.segmind.client import SegmindClient

CONNECTION_TTL = 300.0
"""Seconds for which a triggerer takes a connection as read: a rotated key is noticed within this time."""

REREAD_AT_MOST_EVERY = 30.0
"""Seconds between two readings forced by refused keys, however many waits are refused."""

_lock = threading.Lock()
_clients: dict[tuple[int, ClientConfig], SegmindClient] = {}
_accounts: dict[tuple[int, str, str], Account] = {}


def _account(config: ClientConfig) -> Account:
    """What all users of a key in this process share. Call it with the lock held."""
    key = (os.getpid(), config.base_url, config.api_key)
    account = _accounts.get(key)
    if account is None:
        account = _accounts[key] = Account(config.requests_per_minute, on_pause=metrics.paused)
    return account


def shared_client(config: ClientConfig) -> SegmindClient:
    """The blocking client of this process for ``config``. Not to be closed by its user."""
    from airflow_ltx.segmind.client import SegmindClient

    # The process id is in the key since a pool that was forked along shares its sockets with the parent.
    key = (os.getpid(), config)
    with _lock:
        client = _clients.get(key)
        if client is None:
            client = _clients[key] = SegmindClient(config, account=_account(config))
        return client


@dataclass(slots=True)
class _Entry:
    client: AsyncSegmindClient
    read_at: float


@dataclass(slots=True)
class _LoopClients:
    """The async clients of one event loop, by connection id."""

    entries: dict[str, _Entry] = field(default_factory=dict)
    by_config: dict[ClientConfig, AsyncSegmindClient] = field(default_factory=dict)
    locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def get(
        self, conn_id: str, read: Callable[[], Awaitable[ClientConfig]], older_than: float, now: float
    ) -> AsyncSegmindClient:
        entry = self.entries.get(conn_id)
        if entry is not None and now - entry.read_at < older_than:
            return entry.client
        # One of many waits reads the connection; the others take what it found.
        async with self.locks.setdefault(conn_id, asyncio.Lock()):
            entry = self.entries.get(conn_id)
            if entry is not None and now - entry.read_at < older_than:
                return entry.client
            config = await read()
            client = self.by_config.get(config)
            if client is None:
                # httpx takes its time to be imported, too.
                module = await asyncio.to_thread(import_module, "airflow_ltx.segmind.async_client")
                with _lock:
                    account = _account(config)
                client = await module.AsyncSegmindClient.create(config, account=account)
                self.by_config[config] = client
            self.entries[conn_id] = _Entry(client, now)
            return client


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopClients] = WeakKeyDictionary()


async def shared_async_client(
    conn_id: str,
    read: Callable[[], Awaitable[ClientConfig]],
    *,
    refused: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncSegmindClient:
    """The async client of the running loop for a connection id. Not to be closed by its user.

    :param read: Reads the connection; called at most once per :data:`CONNECTION_TTL` for all users.
    :param refused: The last client's key was refused: read the connection again now.
    """
    clients = _loops.setdefault(asyncio.get_running_loop(), _LoopClients())
    older_than = REREAD_AT_MOST_EVERY if refused else CONNECTION_TTL
    return await clients.get(conn_id, read, older_than, clock())
