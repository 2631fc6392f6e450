"""Clients are shared: one for a configuration and process, or a configuration and event loop."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from airflow_ltx.hooks import _clients
from airflow_ltx.hooks._clients import (
    CONNECTION_TTL,
    REREAD_AT_MOST_EVERY,
    shared_async_client,
    shared_client,
)
from airflow_ltx.segmind.endpoints import ClientConfig

CONFIG = ClientConfig(api_key="SG_0123456789abcdef", base_url="http://127.0.0.1:9")


class Connections:
    """A connection that counts how often it is read, and may change."""

    def __init__(self) -> None:
        self.config = CONFIG
        self.reads = 0
        self.now = 1000.0

    async def read(self) -> ClientConfig:
        self.reads += 1
        await asyncio.sleep(0)
        return self.config

    async def client(self, *, refused: bool = False):
        return await shared_async_client("c", self.read, refused=refused, clock=lambda: self.now)


def test_one_client_for_equal_configurations():
    assert shared_client(CONFIG) is shared_client(replace(CONFIG))
    assert shared_client(CONFIG) is not shared_client(replace(CONFIG, api_key="SG_another"))


def test_a_forked_process_gets_its_own(monkeypatch):
    parents = shared_client(CONFIG)
    monkeypatch.setattr(_clients.os, "getpid", lambda: 2**22 + 1)
    assert shared_client(CONFIG) is not parents


async def test_many_waits_read_the_connection_once():
    connections = Connections()
    clients = await asyncio.gather(*(connections.client() for _ in range(500)))
    assert connections.reads == 1
    assert len(set(map(id, clients))) == 1


async def test_the_connection_is_read_again_after_a_while_and_an_unchanged_one_keeps_its_client():
    connections = Connections()
    first = await connections.client()
    connections.now += CONNECTION_TTL - 1
    await connections.client()
    assert connections.reads == 1
    connections.now += 2
    assert await connections.client() is first
    assert connections.reads == 2


async def test_a_refused_key_is_read_again_at_once_but_not_by_everyone():
    connections = Connections()
    first = await connections.client()
    connections.config = replace(CONFIG, api_key="SG_rotated")
    connections.now += REREAD_AT_MOST_EVERY
    clients = await asyncio.gather(*(connections.client(refused=True) for _ in range(100)))
    assert connections.reads == 2
    assert {client.config.api_key for client in clients} == {"SG_rotated"}
    assert first not in clients


async def test_a_cancelled_reader_does_not_take_the_others_along():
    connections = Connections()
    tasks = [asyncio.create_task(connections.client()) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1] is results[2]
    assert connections.reads <= 2


def test_each_event_loop_has_its_own():
    connections = Connections()
    first = asyncio.run(connections.client())
    second = asyncio.run(connections.client())
    assert first is not second
