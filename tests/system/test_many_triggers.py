"""One triggerer with hundreds of polls, in which videos complete together: they land, and no poll is late."""

from __future__ import annotations

import hashlib
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from deferred import HOUR, landing_in, polls, put_rows, submit, until, waits

from local_airflow import TRIGGERER, LocalAirflow
from local_emulator import LocalEmulator

POLLING, COMPLETING = 500, 20
INTERVAL = 5.0
SIZE = 12 * 1024**2
"""More than one part of an upload."""
ALLOWED = 0.25


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LocalEmulator]:
    with LocalEmulator(queue_seconds=0, inference_seconds=HOUR, home=tmp_path / "emulator") as emulator:
        emulator.configure(requests_per_minute=None, record_ttl=1000 * HOUR, least_bytes=SIZE)
        yield emulator


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
    wanted = waits(ids, age=INTERVAL, poll_interval=INTERVAL)
    wanted += waits(landing, age=INTERVAL, poll_interval=INTERVAL, landing=landing_in(bucket))
    put_rows(airflow, wanted)
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
