"""The ways to wait that are compared: each makes coroutines that poll their own thing until they are ended.

Those written here are what somebody would write by hand; the others are triggers and clients as they come.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

KEY = "SG_0123456789abcdef"
HOUR = 3600.0
THREADS = 32
"""For the SDK, which blocks: as many as this package has connections."""

Wait = Callable[[int], Awaitable[None]]


@dataclass(frozen=True)
class Setting:
    """Where to poll, and how often."""

    port: int
    interval: float

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def path(self, number: int) -> str:
        return f"/v2/requests/{number:032x}/status"

    def url(self, number: int) -> str:
        return self.base_url + self.path(number)

    async def spread(self) -> None:
        """Before a first poll: many waits that begin at once are not to stay together."""
        await asyncio.sleep(random.random() * self.interval)  # noqa: S311


def environment(port: int) -> dict[str, str]:
    """The connections of the triggers."""
    base = f"http://127.0.0.1:{port}"
    connections = {
        "SEGMIND_DEFAULT": {"conn_type": "segmind", "host": base, "password": KEY},
        "OPENAI_DEFAULT": {"conn_type": "openai", "host": f"{base}/openai", "password": KEY},
        "ANTHROPIC_DEFAULT": {"conn_type": "anthropic", "host": f"{base}/anthropic", "password": KEY},
        "HTTP_DEFAULT": {"conn_type": "http", "host": base},
    }
    return {f"AIRFLOW_CONN_{name}": json.dumps(value) for name, value in connections.items()}


def bare(setting: Setting) -> Wait:
    """A trigger that only sleeps: what any waiting trigger takes."""
    from airflow.triggers.base import BaseTrigger, TriggerEvent

    class Bare(BaseTrigger):
        def serialize(self) -> tuple[str, dict[str, Any]]:
            return "", {}

        async def run(self) -> AsyncIterator[TriggerEvent]:
            while True:
                await asyncio.sleep(HOUR)
                yield TriggerEvent(None)

    return lambda number: _until_it_fires(Bare())


def segmind(setting: Setting) -> Wait:
    """This package's trigger."""
    from airflow_ltx.triggers.segmind import SegmindRequestTrigger

    def wait(number: int) -> Awaitable[None]:
        at = time.time()
        return _until_it_fires(
            SegmindRequestTrigger(
                f"{number:032x}",
                model="ltx-video",
                submitted_at=at - 2 * setting.interval,
                deadline=at + HOUR,
                poll_interval=setting.interval,
            )
        )

    return wait


def segmind_over_httpx(setting: Setting) -> Wait:
    """The same where aiohttp is not installed."""
    from airflow_ltx.segmind import async_client

    async_client.lean_transport = lambda: None
    return segmind(setting)


def raw_socket(setting: Setting) -> Wait:
    """An asyncio stream each, kept open: the floor."""

    async def wait(number: int) -> None:
        await setting.spread()
        reader, writer = await asyncio.open_connection("127.0.0.1", setting.port)
        request = (
            f"GET {setting.path(number)} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {KEY}\r\n\r\n".encode()
        )
        try:
            while True:
                writer.write(request)
                answer = await reader.readuntil(b"\r\n\r\n")
                length = int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                _still_running(json.loads(await reader.readexactly(length)))
                await asyncio.sleep(setting.interval)
        finally:
            writer.close()

    return wait


def plain_aiohttp(setting: Setting) -> Wait:
    """One session for all."""
    import aiohttp

    session: aiohttp.ClientSession | None = None

    async def wait(number: int) -> None:
        nonlocal session
        session = session or aiohttp.ClientSession(headers={"x-api-key": KEY})
        await setting.spread()
        while True:
            async with session.get(setting.url(number)) as response:
                _still_running(await response.json())
            await asyncio.sleep(setting.interval)

    return wait


def httpx_per_trigger(setting: Setting) -> Wait:
    """A client for each wait."""
    import httpx

    async def wait(number: int) -> None:
        async with httpx.AsyncClient(headers={"x-api-key": KEY}) as client:
            await setting.spread()
            while True:
                # A loop that hangs runs into timeouts, and whoever polls looks again.
                with suppress(httpx.TransportError):
                    _still_running((await client.get(setting.url(number))).json())
                await asyncio.sleep(setting.interval)

    return wait


def httpx_per_poll(setting: Setting) -> Wait:
    """A client for each poll."""
    import httpx

    async def wait(number: int) -> None:
        await setting.spread()
        while True:
            async with httpx.AsyncClient(headers={"x-api-key": KEY}) as client:
                with suppress(httpx.TransportError):
                    _still_running((await client.get(setting.url(number))).json())
            await asyncio.sleep(setting.interval)

    return wait


def official_sdk(setting: Setting) -> Wait:
    """The official SDK, one client for all, on threads."""
    from segmind import SegmindClient
    from segmind.v2 import AsyncJob

    client = SegmindClient(api_key=KEY, base_url=f"{setting.base_url}/v1")
    threads = ThreadPoolExecutor(THREADS)

    async def wait(number: int) -> None:
        job = AsyncJob(f"{number:032x}", setting.url(number), "", {}, client)
        loop = asyncio.get_running_loop()
        await setting.spread()
        while True:
            _still_running(await loop.run_in_executor(threads, job.status))
            await asyncio.sleep(setting.interval)

    return wait


def openai(setting: Setting) -> Wait:
    """The trigger for a batch of the openai provider."""
    from airflow.providers.openai.triggers.openai import OpenAIBatchTrigger

    return lambda number: _until_it_fires(
        OpenAIBatchTrigger("openai_default", f"b{number}", setting.interval, timeout=HOUR)
    )


def anthropic(setting: Setting) -> Wait:
    """The trigger for a batch of the anthropic provider."""
    from airflow.providers.anthropic.triggers.batch import AnthropicBatchTrigger

    return lambda number: _until_it_fires(
        AnthropicBatchTrigger("anthropic_default", f"b{number}", setting.interval, time.time() + HOUR)
    )


def http(setting: Setting) -> Wait:
    """The http provider's trigger that waits for something to be there."""
    from airflow.providers.http.triggers.http import HttpSensorTrigger

    return lambda number: _until_it_fires(HttpSensorTrigger(f"http/{number}", poke_interval=setting.interval))


WAITS: dict[str, Callable[[Setting], Wait]] = {
    "raw socket": raw_socket,
    "aiohttp": plain_aiohttp,
    "this package": segmind,
    "this package, without aiohttp": segmind_over_httpx,
    "httpx, client per trigger": httpx_per_trigger,
    "httpx, client per poll": httpx_per_poll,
    "segmind SDK, threads": official_sdk,
    "openai provider": openai,
    "anthropic provider": anthropic,
    "http provider": http,
    "bare trigger": bare,
}


async def _until_it_fires(trigger: BaseTrigger) -> None:
    async for event in trigger.run():
        raise RuntimeError(f"It fired: {event!r}")


def _still_running(answer: dict[str, Any]) -> None:
    if answer["status"] != "PROCESSING":
        raise RuntimeError(f"It ended: {answer}")
