"""A landing's thread and the coroutine that waits for it: who is cancelled first, and who waits for whom."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest

from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.models import Output, RequestResult
from airflow_ltx.segmind.stopping import Stopped
from airflow_ltx.triggers import landing

CONFIG = ClientConfig(api_key="SG_0123456789abcdef", base_url="http://127.0.0.1:1")
RESULT = RequestResult("the-id", (Output("http://127.0.0.1:1/v.mp4"),))
UNDOING = 0.5


class Landings:
    """In place of the copying: takes until it is stopped, and then a while to undo what it had begun."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.started = self.undone = 0
        self.error: Exception | None = None
        self.latest: list[float] = []

    def land(self, *arguments, stop, latest, **options):
        self.started += 1
        self.latest.append(latest)
        self.begun.set()
        if self.error is not None:
            raise self.error
        stop.wait(30)
        time.sleep(UNDOING)
        self.undone += 1
        raise Stopped


@pytest.fixture
def landings(monkeypatch):
    landings = Landings()
    monkeypatch.setattr(landing, "land_outputs", landings.land)
    monkeypatch.setattr(landing, "landing_concurrency", lambda: 1)
    monkeypatch.setattr(landing, "_executors", {})
    return landings


def here() -> asyncio.Task:
    wish = Wish(parse_destination("file:///v/"))
    return asyncio.create_task(
        landing.land_here(wish.to_json(), RESULT, "ltx-video", CONFIG, logging.getLogger(__name__))
    )


async def begun(landings: Landings) -> None:
    assert await asyncio.to_thread(landings.begun.wait, 10)


async def test_a_cancelled_landing_ends_once_it_has_undone_what_it_began(landings):
    task = here()
    await begun(landings)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (landings.started, landings.undone) == (1, 1)


async def test_a_landing_that_is_cancelled_in_the_queue_never_begins(landings):
    first = here()
    await begun(landings)
    queued = here()
    await asyncio.sleep(0.1)
    queued.cancel()
    begin = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await queued
    assert time.monotonic() - begin < UNDOING
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert landings.started == 1


async def test_the_time_in_the_queue_is_part_of_the_landings_limit(landings):
    before = time.time()
    task = here()
    await begun(landings)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert before + 599 < landings.latest[0] < before + 601


async def test_what_an_unknown_error_quotes_is_shown_without_signatures(landings, caplog):
    landings.error = ValueError("PUT https://user:word@store.example/v.mp4?X-Amz-Signature=5ecret failed")
    landed, obstacle = await here()
    assert landed == ()
    assert obstacle == "ValueError: PUT https://store.example/v.mp4 failed"
    assert "5ecret" not in caplog.text
