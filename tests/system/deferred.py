"""Requests that are waited for without a task that ever ran: submitted by hand, their triggers written into
the database of an Airflow of which nothing but a triggerer is started."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from servers.store import Store

from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind import ClientConfig, SegmindClient
from local_airflow import TRIGGERER, LocalAirflow
from local_emulator import LocalEmulator

_ROWS = Path(__file__).with_name("rows.py")
MODEL = "wan-2.2-t2v-fast"
HOUR = 3600.0


def submit(service: LocalEmulator, number: int) -> list[str]:
    """Buy so many videos; returns the ids of the requests."""
    config = ClientConfig(api_key=service.key, base_url=service.base_url)
    with SegmindClient(config) as client, ThreadPoolExecutor(8) as threads:
        bodies = [{"prompt": f"a pond, {n}", "seed": n} for n in range(number)]
        return [one.request_id for one in threads.map(lambda body: client.submit(MODEL, body), bodies)]


def waits(ids: Sequence[str], *, age: float, **arguments: Any) -> list[dict[str, Any]]:
    """Arguments of the triggers that wait for them; ``age``: seconds since the submit."""
    now = time.time()
    common = {"deadline": now + HOUR, "model": MODEL, "submitted_at": now - age, **arguments}
    return [{"request_id": one, **common} for one in ids]


def landing_in(bucket: Store) -> dict[str, Any]:
    """What has a trigger land its video below ``many/``."""
    return Wish(parse_destination(bucket.uri("many/")), media="video").to_json()


def put_rows(airflow: LocalAirflow, wanted: Sequence[dict[str, Any]]) -> None:
    """Have a task wait with each of these triggers."""
    done = subprocess.run(
        [sys.executable, _ROWS], input=json.dumps(wanted), env=airflow.env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def until(
    what: Callable[[], Any],
    airflow: LocalAirflow,
    seconds: float,
    *,
    triggerer: str = TRIGGERER,
    every: float = 0.2,
) -> Any:
    """Wait for it to be true, with a triggerer that lives."""
    deadline = time.monotonic() + seconds
    while not (seen := what()):
        assert time.monotonic() < deadline, airflow.log(triggerer).read_text()[-3000:]
        airflow.check()
        time.sleep(every)
    return seen


def polls(service: LocalEmulator) -> dict[str, list[float]]:
    """When each request was looked at, in epoch seconds of the service's clock."""
    return {one["request_id"]: one["polled_at"] for one in service.ledger()["submissions"]}
