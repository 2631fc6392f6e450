"""A triggerer's reads over aiohttp, and over httpx's own pool: whatever a host does means the same."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from airflow_ltx import exceptions as e
from airflow_ltx.segmind import async_client, transport
from airflow_ltx.segmind.async_client import AsyncSegmindClient
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.retry import ONCE

ID = "47411f110c6fa4fe05dcb9ffed2c1962"
RUNNING = json.dumps({"status": "PROCESSING", "request_id": ID, "metrics": {}}).encode()
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def way(request, monkeypatch):
    if request.param == "httpx":
        monkeypatch.setattr(async_client, "lean_transport", lambda: None)
    else:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
    return request.param


both = pytest.mark.parametrize("way", ["aiohttp", "httpx"], indirect=True)


def answer(body: bytes = RUNNING, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def answering(*answers: bytes, close: bool = False) -> Serve:
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            await writer.drain()
            if close:
                writer.close()
                return

    return serve


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(b"", length=100_000))
    while True:
        writer.write(b" ")
        await asyncio.sleep(0.05)


@asynccontextmanager
async def host(serve: Serve):
    connections = []

    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(quiet, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], connections
    finally:
        server.close()
        for writer in connections:
            writer.close()


async def look(port: int, scheme: str = "http", name: str = "127.0.0.1", seconds: float = 5.0):
    config = ClientConfig("SG_0123456789abcdef", base_url=f"{scheme}://{name}:{port}", timeout=seconds)
    async with await AsyncSegmindClient.create(config) as client:
        assert (client._lean is None) == (async_client.lean_transport() is None)
        return await client.status(ID, retry=ONCE)


@both
@pytest.mark.parametrize(
    "sent",
    [
        answer(),
        answer(gzip.compress(RUNNING), "content-encoding: gzip"),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (len(RUNNING), RUNNING),
    ],
    ids=["plain", "packed", "chunked"],
)
async def test_an_answer_is_read_however_it_comes(way, sent):
    async with host(answering(sent)) as (port, _):
        assert (await look(port)).word == "PROCESSING"


@both
@pytest.mark.parametrize(
    ("serve", "kind", "trouble"),
    [
        (silent, e.ServiceUnavailable, e.Trouble.TIMEOUT),
        (drips, e.ServiceUnavailable, e.Trouble.TIMEOUT),
        (resets, e.ServiceUnavailable, e.Trouble.BROKEN),
        (answering(b"", close=True), e.ServiceUnavailable, e.Trouble.BROKEN),
        (answering(answer(length=500), close=True), e.ServiceUnavailable, e.Trouble.BROKEN),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n", close=True), e.ServiceUnavailable, e.Trouble.BROKEN),
        (answering(answer(b"<html>")), e.UnreadableResponse, None),
        (
            answering(answer(b"", "location: http://127.0.0.1:1/", status="302 Found")),
            e.UnreadableResponse,
            None,
        ),
        (answering(answer(b" " * 3 * 1024**2)), e.UnreadableResponse, None),
        (
            answering(answer(b'{"error": "slow"}', "retry-after: 7", status="429 Too Many")),
            e.RateLimited,
            None,
        ),
        (answering(answer(b'{"error": "gone"}', status="404 Not Found")), e.RequestNotFound, None),
        (answering(answer(b'{"error": "key"}', status="401 No")), e.AuthenticationFailed, None),
    ],
    ids=[
        "silent",
        "drips",
        "resets",
        "empty",
        "cut",
        "ssh",
        "page",
        "redirect",
        "endless",
        "429",
        "404",
        "401",
    ],
)
async def test_what_goes_wrong_means_the_same(way, serve, kind, trouble):
    async with host(serve) as (port, _):
        with pytest.raises(e.SegmindError) as caught:
            await look(port, seconds=1.0 if serve in (silent, drips) else 5.0)
    assert (type(caught.value), caught.value.trouble) == (kind, trouble)
    assert "SG_" not in caught.value.message


@both
async def test_who_is_not_there_was_sent_nothing(way, unused_tcp_port):
    with pytest.raises(e.NotSent) as caught:
        await look(unused_tcp_port)
    assert caught.value.trouble is e.Trouble.REFUSED
    with pytest.raises(e.NotSent) as caught:
        await look(1, name="no-such-host.invalid")
    assert caught.value.trouble is e.Trouble.NAME


@both
async def test_a_host_without_tls_is_named_as_such(way):
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with host(plain) as (port, _):
        with pytest.raises(e.ConfigurationError, match="does not speak TLS"):
            await look(port, scheme="https")


@both
async def test_looks_share_few_connections_and_the_cancelled_ones_leave_the_others_in_peace(way):
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(0.05)
            writer.write(answer())

    async with host(slow) as (port, connections):
        config = ClientConfig("k", base_url=f"http://127.0.0.1:{port}", requests_per_minute=1_000_000)
        async with await AsyncSegmindClient.create(config) as client:
            looks = [asyncio.ensure_future(client.status(ID, retry=ONCE)) for _ in range(300)]
            await asyncio.sleep(0.1)
            for cancelled in looks[::3]:
                cancelled.cancel()
            ended = await asyncio.gather(*looks, return_exceptions=True)
            done = [end for end in ended if not isinstance(end, BaseException)]
            assert len(done) >= 200
            assert all(isinstance(end, asyncio.CancelledError) for end in ended if end not in done)
            assert client.turns._under_way == 0
            assert (await client.status(ID, retry=ONCE)).word == "PROCESSING"
            # Those of the looks that were cut off are gone, and replaced. httpx keeps few that are idle.
            assert way == "httpx" or len(connections) <= transport.CONNECTIONS * 3


def test_a_loop_that_ends_closes_the_connections_that_its_triggers_shared(unused_tcp_port):
    code = f"""
import asyncio, sys
from airflow_ltx.segmind.async_client import AsyncSegmindClient
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.retry import ONCE
async def serve(reader, writer):
    while await reader.readuntil(b"\\r\\n\\r\\n"):
        writer.write({answer()!r})
kept = []
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", {unused_tcp_port})
    kept.append(await AsyncSegmindClient.create(ClientConfig("k", base_url="http://127.0.0.1:{unused_tcp_port}")))
    print((await kept[0].status("{ID}", retry=ONCE)).word)
asyncio.run(main())
"""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.stdout == "PROCESSING\n"
    assert "Unclosed" not in done.stderr, done.stderr


def test_a_proxy_of_the_environment_is_left_to_httpx(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert transport.lean_transport() is None


def test_without_aiohttp_httpx_does_it_alone(monkeypatch):
    monkeypatch.setattr(transport, "find_spec", lambda name: None)
    assert transport.lean_transport() is None
