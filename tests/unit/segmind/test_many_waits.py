"""Two hundred requests of one key in one process, under a limit of sixty calls a minute."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass, field
from types import SimpleNamespace

import httpx
import pytest

from airflow_ltx.emulator.core import EmulatorCore
from airflow_ltx.emulator.messages import EmulatedRequest
from airflow_ltx.emulator.settings import Settings
from airflow_ltx.segmind import clock
from airflow_ltx.segmind.async_client import AsyncSegmindClient
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.polling import Ending, Pacing, PollState
from airflow_ltx.segmind.retry import ONCE
from airflow_ltx.segmind.turns import Turn
from airflow_ltx.segmind.waiting import async_wait_for_end
from tests.virtual.quick_loop import epoch, run_quickly

KEY = "SG_0123456789abcdef"
BASE_URL = "http://emulator.test:1"
REQUESTS = 200


@dataclass
class Service:
    """The emulator's core behind a transport; a call takes a tenth of a second."""

    core: EmulatorCore
    answers: dict[int, int] = field(default_factory=dict)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.1)
        headers = {name.lower(): value for name, value in request.headers.items()}
        answer = self.core.handle(
            EmulatedRequest(request.method, request.url.path, headers, request.content, BASE_URL, {})
        )
        self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)


async def _wait(client: AsyncSegmindClient, request_id: str, submitted_at: float) -> float:
    """The epoch second at which the request was seen to be over."""
    state = PollState(epoch(), epoch() + 7200, submitted_at=submitted_at)
    with client.turns.waiting(), client.account.watching("ltx-video", submitted_at):
        end = await async_wait_for_end(
            lambda state: client.status(request_id, retry=ONCE, turn=Turn(state.worth)),
            state,
            pacing=lambda: Pacing(client.account.estimates.of("ltx-video"), client.turns.share),
            clock=epoch,
            sleep=asyncio.sleep,
        )
    assert end.ending is Ending.COMPLETED
    seen = epoch()
    client.account.learn("ltx-video", end.status, seen - submitted_at)
    await client.result(request_id, deadline=epoch() + 600)
    return seen


async def _all(limit: int | None, told: int | None, inference: tuple[float, float]):
    core = EmulatorCore(
        Settings(queue_seconds=0.0, inference_seconds=inference, credits=1e6, prerender=False), epoch
    )
    service = Service(core)
    async with AsyncSegmindClient(
        ClientConfig(KEY, base_url=BASE_URL, requests_per_minute=told),
        transport=httpx.MockTransport(service),
        clock=epoch,
        sleep=asyncio.sleep,
    ) as client:
        submitter = AsyncSegmindClient(
            client.config, transport=httpx.MockTransport(service), clock=epoch, sleep=asyncio.sleep
        )
        bought = [await submitter.submit("ltx-video", {"prompt": "A lighthouse"}) for _ in range(REQUESTS)]
        await submitter.aclose()
        service.answers.clear()
        core.configure({"requests_per_minute": limit})
        ends = await asyncio.gather(
            *(_wait(client, request.request_id, request.submitted_at) for request in bought)
        )
    lags = [end - core.completed_at(request.request_id) for request, end in zip(bought, ends, strict=True)]
    return service.answers, lags


@pytest.fixture(autouse=True)
def present(monkeypatch):
    """A reset is a moment, which the package compares with its own clock."""
    monkeypatch.setattr(clock, "time", SimpleNamespace(time=epoch))


@pytest.mark.parametrize("told", [60, None])
def test_two_hundred_requests_under_sixty_calls_a_minute(told: int | None, record_property) -> None:
    """All are found, hardly a call is refused, and the lag is what the limit makes it."""
    answers, lags = run_quickly(_all(60, told, (25.0, 110.0)))
    calls = sum(answers.values())
    assert answers.get(429, 0) < 0.01 * calls
    # Each request takes two calls at the least, a look and its result: that alone is more than seven minutes.
    assert max(lags) < REQUESTS * 2 * 60 / 55 * 1.6
    record_property("calls", calls)
    record_property("refused", answers.get(429, 0))
    record_property("mean lag", round(statistics.mean(lags)))
    record_property("longest lag", round(max(lags)))


def test_without_a_limit_the_same_are_found_soon() -> None:
    answers, lags = run_quickly(_all(None, None, (25.0, 110.0)))
    assert set(answers) == {200}
    assert statistics.mean(lags) < 5
    assert sum(answers.values()) / REQUESTS < 14
