"""Each example as it stands in its folder, in a real Airflow, to its video."""

from __future__ import annotations

import hashlib
import json
import struct
import time
import zlib
from pathlib import Path

import pytest

from airflow_ltx.segmind import ClientConfig, SegmindClient
from local_airflow import TaskInstance

ACTIVE = {"queued", "running", "deferred", "restarting"}


@pytest.fixture
def bought(airflow_stack):
    """The submissions since the test began."""
    before = len(airflow_stack.emulator.ledger()["submissions"])
    return lambda: airflow_stack.emulator.ledger()["submissions"][before:]


@pytest.fixture
def picture(airflow_stack) -> str:
    """URL of a picture at the service."""
    config = ClientConfig(api_key=airflow_stack.emulator.key, base_url=airflow_stack.emulator.base_url)
    with SegmindClient(config) as client:
        (url,) = client.upload(png())
    return url


def png() -> bytes:
    """One grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0\x80"))
        + chunk(b"IEND", b"")
    )


def landed(result: dict) -> Path:
    """The file of a return value, after checking that it is the whole one."""
    file = Path(result["uri"].removeprefix("file://"))
    assert hashlib.sha256(file.read_bytes()).hexdigest() == result["sha256"]
    return file


def only_run(api, dag_id: str) -> dict:
    """The one run that a DAG gets by itself."""
    deadline = time.monotonic() + 60
    while not (runs := api.runs(dag_id)) and time.monotonic() < deadline:
        time.sleep(0.5)
    (run,) = runs
    return run


def test_unpausing_a_scheduled_dag_buys_one_video_and_starts_what_is_scheduled_on_its_asset(
    airflow_stack, bought
):
    api, dag_id, consumer = airflow_stack.airflow.api, "ltx_scheduled_text_to_video", "ltx_on_new_clip"
    airflow_stack.airflow.wait_for_dags(dag_id, consumer)
    assert bought() == []
    api.unpause(consumer)
    api.unpause(dag_id)
    run = only_run(api, dag_id)
    assert run["run_type"] == "scheduled"
    assert api.wait_for_run(dag_id, run["dag_run_id"], timeout=120) == "success"
    # start_date lies months back: with catchup there would be a run for each day since.
    assert len(api.runs(dag_id)) == len(bought()) == 1
    result = api.xcoms(dag_id, run["dag_run_id"], "make_video")["return_value"]
    assert landed(result).parent.name == run["run_after"][:10]
    assert bought()[0]["body"]["aspect_ratio"] == "16:9"

    told = only_run(api, consumer)
    assert told["run_type"] == "asset_triggered"
    assert api.wait_for_run(consumer, told["dag_run_id"], timeout=120) == "success"
    page = landed(result).with_suffix(".html")
    assert f"Request {result['request_id']}, ${result['cost']:.2f}" in page.read_text()
    assert api.xcoms(consumer, told["dag_run_id"], "make_page", 0)["return_value"].endswith(str(page))


def test_mapped_prompts_run_two_at_a_time_deferred_ones_included(airflow_stack, bought):
    api, dag_id = airflow_stack.airflow.api, "ltx_mapped_prompts"
    airflow_stack.airflow.wait_for_dags(dag_id)
    api.unpause(dag_id)
    run_id = api.trigger_run(dag_id)
    active: list[int] = []
    deferred: list[int] = []

    def count(state: str, tasks: list[TaskInstance]) -> None:
        active.append(sum(task.state in ACTIVE for task in tasks))
        deferred.append(sum(task.state == "deferred" for task in tasks))

    assert api.wait_for_run(dag_id, run_id, timeout=180, on_poll=count, interval=0.2) == "success"
    assert max(active) == max(deferred) == 2
    results = [api.xcoms(dag_id, run_id, "make_videos", index)["return_value"] for index in range(4)]
    assert len({landed(result) for result in results}) == len(bought()) == 4
    links = [api.links(dag_id, run_id, "make_videos", index)["Segmind output"] for index in range(4)]
    assert links == [result["video_url"] for result in results]


def test_a_picture_becomes_a_video(airflow_stack, bought, picture):
    run = airflow_stack.run("ltx_image_to_video", {"image": picture})
    assert run.state == "success", airflow_stack.logs(run)
    (submission,) = bought()
    assert (submission["body"]["image"], submission["body"]["target_size"]) == (picture, 768)
    published = airflow_stack.airflow.api.xcoms(run.dag_id, run.run_id, "make_video")
    assert landed(published["return_value"]).read_bytes()[4:8] == b"ftyp"


def test_a_submit_and_a_sensor_share_one_purchase(airflow_stack, bought):
    run = airflow_stack.run("ltx_submit_and_sensor")
    assert run.state == "success", airflow_stack.logs(run)
    (submission,) = bought()
    api = airflow_stack.airflow.api
    submitted, waited, announced = (
        api.xcoms(run.dag_id, run.run_id, task_id)["return_value"]
        for task_id in ("submit", "wait", "announce")
    )
    assert submitted["request_id"] == waited["request_id"] == submission["request_id"]
    assert (submitted["status"], waited["status"]) == ("QUEUED", "COMPLETED")
    assert announced.startswith(waited["output_url"])
    links = {task: api.links(run.dag_id, run.run_id, task)["Segmind output"] for task in ("submit", "wait")}
    assert links == {"submit": None, "wait": waited["output_url"]}
    api.clear(run.dag_id, run.run_id, ["wait", "announce"])
    assert api.wait_for_run(run.dag_id, run.run_id, timeout=120) == "success"
    assert len(bought()) == 1


def test_the_next_task_works_on_the_file(airflow_stack, bought):
    run = airflow_stack.run("ltx_use_the_video")
    assert run.state == "success", airflow_stack.logs(run)
    assert len(bought()) == 1
    api = airflow_stack.airflow.api
    result = api.xcoms(run.dag_id, run.run_id, "make_video")["return_value"]
    description = landed(result).with_suffix(".json")
    assert json.loads(description.read_text())["sha256"] == result["sha256"]
    assert api.xcoms(run.dag_id, run.run_id, "describe")["return_value"].endswith(str(description))
