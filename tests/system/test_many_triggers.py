"""One triggerer with hundreds of polls, in which videos complete together: they land, and no poll is late."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from servers.store import Store

from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind import ClientConfig, SegmindClient
from local_airflow import TRIGGERER, LocalAirflow
from local_emulator import LocalEmulator

ROWS = Path(__file__).with_name("rows.py")
POLLING, COMPLETING = 500, 20
INTERVAL = 5.0
SIZE = 12 * 1024**2
"""More than one part of an upload."""
ALLOWED = 0.25
HOUR = 3600.0


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LocalEmulator]:
    with LocalEmulator(queue_seconds=0, inference_seconds=HOUR, home=tmp_path / "emulator") as emulator:
        emulator.configure(requests_per_minute=None, record_ttl=1000 * HOUR, least_bytes=SIZE)
        yield emulator


def submit(service: LocalEmulator, number: int) -> list[str]:
    config = ClientConfig(api_key=service.key, base_url=service.base_url)
    with SegmindClient(config) as client, ThreadPoolExecutor(8) as threads:
        bodies = [{"prompt": f"a pond, {n}", "seed": n} for n in range(number)]
        return [
            one.request_id
            for one in threads.map(lambda body: client.submit("wan-2.2-t2v-fast", body), bodies)
        ]


def put_rows(airflow: LocalAirflow, ids: list[str], landing: list[str], bucket: Store) -> None:
    wish = Wish(parse_destination(bucket.uri("many/")), media="video").to_json()
    now = time.time()
    common = {
        "poll_interval": INTERVAL,
        "deadline": now + HOUR,
        "model": "wan-2.2-t2v-fast",
        "submitted_at": now - INTERVAL,
    }
    wanted = [{"request_id": one, **common} for one in ids]
    wanted += [{"request_id": one, **common, "landing": wish} for one in landing]
    done = subprocess.run(
        [sys.executable, ROWS], input=json.dumps(wanted), env=airflow.env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def until(what: Callable[[], Any], airflow: LocalAirflow, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while not (seen := what()):
        assert time.monotonic() < deadline, airflow.log(TRIGGERER).read_text()[-3000:]
        airflow.check()
        time.sleep(0.2)
    return seen


def polls(service: LocalEmulator) -> dict[str, list[float]]:
    return {one["request_id"]: one["polled_at"] for one in service.ledger()["submissions"]}


def lateness(
    airflow: LocalAirflow, service: LocalEmulator, ids: list[str], begin: float, end: float
) -> list[float]:
    """By how much the polls that followed those of a span came later than their interval says, in seconds,
    sorted. None is missing: each request has been looked at since."""
    until(lambda: all(times[-1] > end for times in map(polls(service).get, ids)), airflow, 120)
    seen = polls(service)
    return sorted(
        second - first - INTERVAL
        for one in ids
        for first, second in pairwise(seen[one])
        if begin <= first <= end
    )


def told(airflow: LocalAirflow) -> list[str]:
    """The events of the tasks that were resumed, as Airflow keeps them."""
    with closing(sqlite3.connect(airflow.home / "airflow.db")) as connection:
        rows = connection.execute("select next_kwargs from task_instance where state = 'scheduled'")
        return [text for (text,) in rows]


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def test_twenty_landings_at_once_leave_five_hundred_polls_on_time(airflow, service, bucket):
    ids = submit(service, POLLING)
    service.configure(inference_seconds=HOUR / 2)
    landing = submit(service, COMPLETING)
    put_rows(airflow, ids, landing, bucket)
    airflow.start_another(TRIGGERER, TRIGGERER)
    until(lambda: all(polls(service)[one] for one in ids + landing), airflow, 120)

    time.sleep(INTERVAL)
    begin = time.time()
    time.sleep(4 * INTERVAL)
    before = lateness(airflow, service, ids, begin, time.time())

    service.advance(HOUR / 2)
    moved = HOUR / 2
    begin = time.time() + moved
    events = until(lambda: told(airflow) if len(told(airflow)) == COMPLETING else None, airflow, 180)
    end = time.time() + moved
    during = lateness(airflow, service, ids, begin, end)

    landed = [name for name in bucket.names() if name.startswith("many/")]
    assert sorted(landed) == sorted(f"many/{one}.mp4" for one in landing)
    for one in landing:
        (event,) = [event for event in events if one in event]
        content = bucket.read(f"many/{one}.mp4")
        assert len(content) == SIZE
        assert hashlib.sha256(content).hexdigest() in event
        assert "landing_error" not in event or '"landing_error": null' in event
    assert p99(during) <= p99(before) + ALLOWED, (p99(before), p99(during))
