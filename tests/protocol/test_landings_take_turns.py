"""Landings in one triggerer that has room for one of them: those that fail, beside one that would not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.models import Output, RequestResult
from airflow_ltx.triggers import landing
from tests.protocol.file_host import FileHost, Peer, answer, running_file_host

CONFIG = ClientConfig(api_key="SG_0123456789abcdef", base_url="http://127.0.0.1:1")
VIDEO = answer(200, b"\0\0\0\x18ftypisom" + bytes(20_000), content_type="video/mp4")
LIMIT = 3.0


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileHost]:
    monkeypatch.setattr(landing, "landing_concurrency", lambda: 1)
    monkeypatch.setattr(landing, "_executors", {})
    monkeypatch.setattr(landing, "LANDING_LIMIT", LIMIT)
    with running_file_host() as running:
        yield running


def here(folder: Path, *urls: str, request_id: str = "the-id", **options) -> asyncio.Task:
    wish = Wish(parse_destination(f"file://{folder}/"), media="video", every=True)
    result = RequestResult(request_id, tuple(map(Output, urls)))
    log = logging.getLogger(__name__)
    return asyncio.create_task(landing.land_here(wish.to_json(), result, "ltx-video", CONFIG, log, **options))


async def test_what_fails_waits_for_its_next_attempt_outside_the_queue(host, tmp_path):
    bad = host.serve(answer(503), path="/bad.mp4")
    good = host.serve(VIDEO, path="/good.mp4")
    failing = [here(tmp_path, bad, request_id=f"bad-{number}") for number in range(4)]
    await asyncio.sleep(0.5)
    begun = time.monotonic()
    (landed,), obstacle = await here(tmp_path, good, request_id="good")
    assert obstacle is None
    assert landed["uri"].endswith("/good.mp4")
    assert time.monotonic() - begun < LIMIT / 2
    assert not any(each.done() for each in failing)
    ends = await asyncio.gather(*failing)
    assert time.monotonic() - begun < LIMIT + 2
    assert all("HTTP 503" in str(obstacle) for _, obstacle in ends)
    # Each was tried again and again all the same.
    assert len([one for one in host.requests if one.path == "/bad.mp4"]) >= 8


async def test_what_waits_for_its_next_attempt_ends_at_once_when_it_is_cancelled(host, tmp_path):
    task = here(tmp_path, host.serve(answer(503)))
    # Two attempts have failed by then, and the third is a second away.
    await asyncio.sleep(1.0)
    task.cancel()
    begun = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 0.5
    asked = len(host.requests)
    await asyncio.sleep(1)
    assert len(host.requests) == asked > 0


async def test_a_digest_that_the_file_never_has_does_not_use_up_the_time(host, tmp_path):
    content = b"\0\0\0\x18ftypisom" + bytes(20_000)
    url = host.serve(answer(200, content, content_type="video/mp4", content_md5="1B2M2Y8AsgTpgAmY7PhCfg=="))
    (landed,), obstacle = await here(tmp_path, url)
    assert obstacle is None
    assert landed["size"] == len(content)
    assert len(host.requests) == 2


async def test_what_is_landed_of_several_files_is_not_fetched_again(host, tmp_path):
    first = host.serve(VIDEO, path="/1.mp4")
    second = host.serve(answer(503), answer(503), VIDEO, path="/2.mp4")
    landed, obstacle = await here(tmp_path, first, second)
    assert obstacle is None
    assert [each["uri"].rpartition("/")[2] for each in landed] == ["the-id.mp4", "the-id-2.mp4"]
    assert [one.path for one in host.requests] == ["/1.mp4", "/2.mp4", "/2.mp4", "/2.mp4"]


async def test_what_is_refused_for_good_is_not_tried_again(host, tmp_path):
    landed, obstacle = await here(tmp_path, host.serve(answer(404)))
    assert landed == ()
    assert "HTTP 404" in str(obstacle)
    assert len(host.requests) == 1


@pytest.mark.parametrize(("age", "said"), [(1000, None), (1900, "50%"), (3000, "80%"), (None, None)])
async def test_a_file_that_is_not_landed_when_its_record_has_little_time_left_is_told_once(
    host, tmp_path, monkeypatch, caplog, age, said
):
    def takes_its_time(peer: Peer) -> None:
        peer.stall(0.5)
        peer.send(VIDEO)

    monkeypatch.setattr(landing, "_LOOK", 0.05)
    submitted_at = None if age is None else time.time() - age
    await here(tmp_path, host.serve(takes_its_time), submitted_at=submitted_at)
    late = [each.getMessage() for each in caplog.records if "not landed yet" in each.getMessage()]
    assert len(late) == (said is not None)
    assert all(f"{said} of the hour have passed" in each for each in late)
