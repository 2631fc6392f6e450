"""Two hundred requests of one key under sixty calls a minute, in a loop whose time passes by itself."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import httpx

from airflow_ltx.emulator.core import EmulatorCore
from airflow_ltx.emulator.messages import EmulatedRequest
from airflow_ltx.emulator.settings import Settings
from airflow_ltx.exceptions import SegmindError
from airflow_ltx.segmind import clock
from airflow_ltx.segmind.async_client import AsyncSegmindClient
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.models import State, SubmittedRequest
from airflow_ltx.segmind.polling import Pacing, PollState
from airflow_ltx.segmind.retry import ONCE
from airflow_ltx.segmind.turns import Turn
from airflow_ltx.segmind.waiting import async_wait_for_end
from tests.virtual.quick_loop import epoch, run_quickly

REQUESTS, LIMIT = 200, 60
TIMES = (25.0, 110.0)
"""Seconds that the requests take."""

_KEY = "SG_0123456789abcdef"
_BASE_URL = "http://emulator.test:1"
_FIXED = 5.0

Finds = Callable[[AsyncSegmindClient, SubmittedRequest], Awaitable[float]]


class Service:
    """The emulator's core behind a transport; a call takes a tenth of a second."""

    def __init__(self) -> None:
        self.core = EmulatorCore(
            Settings(queue_seconds=0.0, inference_seconds=TIMES, credits=1e6, prerender=False), epoch
        )
        self.answers: Counter[int] = Counter()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.1)
        headers = {name.lower(): value for name, value in request.headers.items()}
        answer = self.core.handle(
            EmulatedRequest(request.method, request.url.path, headers, request.content, _BASE_URL, {})
        )
        self.answers[answer.status] += 1
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)

    def client(self, limit: int | None) -> AsyncSegmindClient:
        config = ClientConfig(_KEY, base_url=_BASE_URL, requests_per_minute=limit)
        transport = httpx.MockTransport(self)
        return AsyncSegmindClient(config, transport=transport, clock=epoch, sleep=asyncio.sleep)


async def _by_budget(client: AsyncSegmindClient, request: SubmittedRequest) -> float:
    """As a trigger waits. Both return the epoch second at which the result was there."""
    account, since = client.account, request.submitted_at
    with client.turns.waiting(), account.watching("ltx-video", since):
        end = await async_wait_for_end(
            lambda state: client.status(request.request_id, retry=ONCE, turn=Turn(state.worth)),
            PollState(epoch(), epoch() + 7200, submitted_at=since),
            pacing=lambda: Pacing(account.estimates.of("ltx-video"), client.turns.share),
            clock=epoch,
            sleep=asyncio.sleep,
        )
    if end.status is not None:
        account.learn("ltx-video", end.status, epoch() - since)
    await client.result(request.request_id, deadline=epoch() + 600)
    return epoch()


async def _every_five_seconds(client: AsyncSegmindClient, request: SubmittedRequest) -> float:
    """As a loop by hand: it looks again five seconds after a refusal, too."""
    alone = client.config
    over = False
    while True:
        await asyncio.sleep(_FIXED)
        # A client without the budget that all share.
        async with AsyncSegmindClient(
            alone, transport=client._lean, clock=epoch, sleep=asyncio.sleep
        ) as each:
            try:
                if not over:
                    over = (await each.status(request.request_id, retry=ONCE)).state is State.COMPLETED
                if over:
                    await each.result(request.request_id, retry=ONCE)
                    return epoch()
            except SegmindError:
                continue


async def _all(finds: Finds, told: int | None) -> dict[str, Any]:
    service = Service()
    async with service.client(told) as client:
        submitter = service.client(None)
        bought = [await submitter.submit("ltx-video", {"prompt": "A pond"}) for _ in range(REQUESTS)]
        service.answers.clear()
        service.core.configure({"requests_per_minute": LIMIT})
        begun = epoch()
        ends = await asyncio.gather(*(finds(client, request) for request in bought))
    lags = [end - service.core.completed_at(one.request_id) for one, end in zip(bought, ends, strict=True)]
    calls = service.answers.total()
    return {
        "calls": calls,
        "refused": service.answers[429] / calls,
        "lag": statistics.mean(lags),
        "longest": max(lags),
        "all": max(ends) - begun,
    }


@contextmanager
def _present() -> Any:
    """A reset is a moment, which the package compares with its own clock."""
    with patch.object(clock, "time", SimpleNamespace(time=epoch)):
        yield


def measure() -> dict[str, dict[str, Any]]:
    with _present():
        return {
            "limit in the connection": run_quickly(_all(_by_budget, LIMIT)),
            "limit learned from refusals": run_quickly(_all(_by_budget, None)),
            f"fixed {_FIXED:.0f} s, no budget": run_quickly(_all(_every_five_seconds, None)),
        }
