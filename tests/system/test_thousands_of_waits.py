"""One triggerer that thousands of requests wait in, killed and started again."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from deferred import HOUR, polls, put_rows, submit, until, waits

from local_airflow import TRIGGERER
from local_emulator import LocalEmulator

WAITING = 2000
AGE = 240.0
"""Seconds. Looks at a request of that age are some twenty seconds apart."""
WATCHED = 12.0
BEGINNING = 10.0
"""Seconds after the first look in which Airflow makes all the triggers. That blocks its loop for a second or
so, whatever they are."""
BLOCKED = re.compile(r"^(\S+Z) .*async thread was blocked for ([\d.]+) seconds", re.MULTILINE)
BUSY = 1.0
"""Seconds in all. Two thousand triggers that did something in the loop would add up to many; a process that
has to wait for a processor is late by some tenths now and then."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LocalEmulator]:
    with LocalEmulator(queue_seconds=0, inference_seconds=HOUR, home=tmp_path / "emulator") as emulator:
        emulator.configure(requests_per_minute=None, record_ttl=1000 * HOUR, credits=1e6)
        yield emulator


def most_in_a_second(times: Iterable[float]) -> int:
    return max(Counter(int(at) for at in times).values())


def test_two_thousand_requests_are_taken_up_again_evenly_and_no_loop_is_blocked(airflow, service):
    ids = submit(service, WAITING)
    airflow.env["AIRFLOW__TRIGGERER__CAPACITY"] = str(WAITING)
    put_rows(airflow, waits(ids, age=AGE))

    def looks(after: float) -> list[float]:
        return [at for times in polls(service).values() for at in times if at > after]

    def all_seen(after: float) -> bool:
        return all(times and times[-1] > after for times in polls(service).values())

    airflow.start_another(TRIGGERER, "first")
    until(lambda: all_seen(0), airflow, 120, triggerer="first", every=2.0)
    begin = time.time()
    time.sleep(WATCHED)
    airflow.kill("first", tree=True)
    usual = most_in_a_second(looks(begin))

    killed = time.time()
    airflow.start_another(TRIGGERER, "second")
    until(lambda: all_seen(killed), airflow, 120, triggerer="second", every=2.0)
    again = looks(killed)
    # Twice: a second's share of many independent draws, and the last of those that have waited for the start.
    assert most_in_a_second(again) <= 2 * usual
    log = airflow.log("second").read_text()
    settled = min(again) + BEGINNING
    blocked = [float(seconds) for at, seconds in BLOCKED.findall(log) if _epoch(at) > settled]
    assert sum(blocked) < BUSY


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
