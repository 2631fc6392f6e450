"""Seams for tests of the API layer: a scripted service, a clock that only sleeping moves, both clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx

from airflow_ltx.segmind.async_client import AsyncSegmindClient
from airflow_ltx.segmind.client import SegmindClient
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.protocol import ApiResponse

KEY = "SG_0123456789abcdef"
CONFIG = ClientConfig(api_key=KEY)
KINDS = ("sync", "async")
REQUEST_ID = "47411f110c6fa4fe05dcb9ffed2c1962"

Handler = Callable[[httpx.Request], httpx.Response]
Script = Iterable[httpx.Response | BaseException]


class VirtualClock:
    """Time that passes only in :meth:`sleep`; every sleep is on record."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.start = self.now = now
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0, "time.sleep refuses negative seconds"
        self.sleeps.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)

    @property
    def passed(self) -> float:
        return self.now - self.start


class Service:
    """Answers each request with the script's next entry (the last one for ever) and keeps the requests."""

    def __init__(self, script: Script, *, cost: float = 0.0, clock: VirtualClock | None = None) -> None:
        self.script = list(script)
        self.requests: list[httpx.Request] = []
        self._cost = cost
        self._clock = clock

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self._clock is not None:
            self._clock.now += self._cost
        entry = self.script[min(len(self.requests), len(self.script)) - 1]
        if isinstance(entry, BaseException):
            raise entry
        return httpx.Response(entry.status_code, headers=entry.headers, content=entry.content)


def run(
    kind: str,
    handler: Handler,
    do: Callable[[Any], Any],
    *,
    config: ClientConfig = CONFIG,
    clock: VirtualClock | None = None,
) -> Any:
    """``do`` with the ordinary or the async client over ``handler``; returns or raises what the call does."""
    time = clock or VirtualClock()
    transport = httpx.MockTransport(handler)
    if kind == "sync":
        with SegmindClient(config, transport=transport, clock=time, sleep=time.sleep) as client:
            return do(client)

    async def go() -> Any:
        async with AsyncSegmindClient(config, transport=transport, clock=time, sleep=time.asleep) as client:
            return await do(client)

    return asyncio.run(go())


def response(
    status: int, body: Any = b"", *, secret: str | None = KEY, headers: dict[str, str] | None = None
) -> ApiResponse:
    """An answer as the clients hand it to the protocol; anything but bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ApiResponse(status, headers or {}, content, secret=secret)
