"""Videos made by real Airflow processes; what was bought is read from the emulator's ledger."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from scenario import frames

RUNS = int(os.environ.get("SIX_VIDEOS_RUNS", "2"))
"""Runs in a row of the mapped DAG; more of them to hunt for rare failures."""


def submissions(stack, run) -> list[dict[str, Any]]:
    """What was bought for a run, by the run's id in the prompt."""
    return [
        entry
        for entry in stack.emulator.ledger()["submissions"]
        if entry["request_id"] and run.run_id in str(entry["body"])
    ]


def xcoms(stack, run, map_index: int = -1) -> dict[str, Any]:
    return stack.airflow.api.xcoms(run.dag_id, run.run_id, "video", map_index)


def test_the_example_makes_the_model_pages_video(airflow_stack):
    before = len(airflow_stack.emulator.ledger()["submissions"])
    run = airflow_stack.run("ltx_text_to_video")
    assert run.state == "success", airflow_stack.logs(run)
    (bought,) = airflow_stack.emulator.ledger()["submissions"][before:]
    body = bought["body"]
    assert len(body.pop("prompt").split()) > 80
    assert body == {
        "negative_prompt": "low quality, worst quality, deformed, distorted",
        "aspect_ratio": "3:2",
        "target_size": 640,
        "length": 97,
        "steps": 30,
        "cfg": 3,
        "seed": 2357108,
    }
    published = airflow_stack.airflow.api.xcoms(run.dag_id, run.run_id, "make_video")
    result = published["return_value"]
    file = airflow_stack.output / f"{result['request_id']}.mp4"
    assert frames(file) == ("h264", 768, 512, 97)
    assert result["uri"] == published["video_uri"] == f"file://{file}"
    assert result["bytes"] == file.stat().st_size
    assert published["request_id"] == result["request_id"] == bought["request_id"]
    assert published["video_url"] == published["output_url"] == result["video_url"]
    assert (result["seed"], result["status"], result["reused"]) == (2357108, "COMPLETED", False)
    (task,) = run.tasks
    log = airflow_stack.airflow.api.task_log(run.dag_id, run.run_id, "make_video")
    assert task.try_number == 1
    assert f"Bought request {result['request_id']} of ltx-video" in log
    assert f"Request {result['request_id']}: the service says COMPLETED" in log
    assert f"Done: request {result['request_id']}, billed $" in log
    assert "HTTP Request:" not in log


@pytest.mark.parametrize("number", range(RUNS))
def test_six_mapped_videos_land_with_one_submit_each(airflow_stack, number):
    run = airflow_stack.run("six_videos")
    assert run.state == "success", airflow_stack.logs(run)
    assert [(task.state, task.try_number) for task in run.tasks] == [("success", 1)] * 6
    bought = submissions(airflow_stack, run)
    assert len(bought) == len({entry["body"]["prompt"] for entry in bought}) == 6
    files = sorted((airflow_stack.output / run.run_id).glob("*.mp4"))
    assert [file.name for file in files] == sorted(f"{entry['request_id']}.mp4" for entry in bought)
    returned = [xcoms(airflow_stack, run, index)["return_value"] for index in range(6)]
    assert [result["bytes"] for result in returned] == [
        Path(result["uri"].removeprefix("file://")).stat().st_size for result in returned
    ]


def test_values_of_an_upstream_task_are_checked_before_money_is_spent(airflow_stack):
    before = len(airflow_stack.emulator.ledger()["submissions"])
    run = airflow_stack.run("videos_from_tasks")
    states = {task.map_index: (task.state, task.try_number) for task in run.tasks if task.task_id == "video"}
    # The third fails for good at its first try, in spite of its retries.
    assert states == {0: ("success", 1), 1: ("success", 1), 2: ("failed", 1)}, airflow_stack.logs(run)
    bodies = [entry["body"] for entry in airflow_stack.emulator.ledger()["submissions"][before:]]
    bodies.sort(key=lambda body: body["prompt"])
    drawn = bodies[0].pop("seed")
    assert xcoms(airflow_stack, run, 0)["return_value"]["seed"] == drawn
    assert bodies == [
        {"prompt": "a first one", "target_size": 512},
        {"prompt": "a second one", "target_size": 512, "seed": 7},
    ]
    log = airflow_stack.airflow.api.task_log(run.dag_id, run.run_id, "video", map_index=2)
    assert "length is 98; it must be one of 97, 129" in log
    assert "LTX-Video needs long, descriptive prompts" in airflow_stack.airflow.api.task_log(
        run.dag_id, run.run_id, "video", map_index=1
    )


def test_the_blocking_path_ends_the_same_way(airflow_stack):
    run = airflow_stack.run("blocking_video")
    assert run.state == "success", airflow_stack.logs(run)
    assert len(submissions(airflow_stack, run)) == 1
    assert frames(airflow_stack.output / run.run_id / "clip.mp4")[0] == "h264"


def test_a_retry_takes_up_the_request_of_the_try_before(airflow_stack):
    # Longer than an event is held back, or the request would be over before the task is.
    airflow_stack.emulator.configure(inference_seconds=14)
    try:
        run = airflow_stack.run("impatient_video")
    finally:
        airflow_stack.emulator.configure(inference_seconds=2)
    assert run.state == "success", airflow_stack.logs(run)
    (bought,) = submissions(airflow_stack, run)
    (task,) = run.tasks
    assert task.try_number > 1
    result = xcoms(airflow_stack, run)["return_value"]
    assert (result["request_id"], result["reused"]) == (bought["request_id"], True)
    first = airflow_stack.airflow.api.task_log(run.dag_id, run.run_id, "video", try_number=1)
    last = airflow_stack.airflow.api.task_log(run.dag_id, run.run_id, "video", try_number=task.try_number)
    assert "A retry takes up this request and buys nothing" in first
    assert f"Reattached to request {bought['request_id']}" in last


def test_natively_rendered_values_are_taken_for_what_they_mean(airflow_stack):
    before = len(airflow_stack.emulator.ledger()["submissions"])
    run = airflow_stack.run("native_rendering")
    assert run.state == "success", airflow_stack.logs(run)
    (bought,) = airflow_stack.emulator.ledger()["submissions"][before:]
    body = {name: value for name, value in bought["body"].items() if name != "seed"}
    assert body == {"prompt": "123", "target_size": 512, "cfg": 3.5}


def test_a_wrong_key_fails_for_good_and_says_so(airflow_stack):
    run = airflow_stack.run("wrong_key")
    assert [(task.state, task.try_number) for task in run.tasks] == [("failed", 1)]
    log = airflow_stack.airflow.api.task_log(run.dag_id, run.run_id, "video")
    assert "Nothing was billed" in log
    assert "correct the password of the Segmind connection" in log
    assert submissions(airflow_stack, run) == []


def test_a_request_that_fails_is_bought_again_by_each_retry_and_billed_never(airflow_stack):
    run = airflow_stack.run("failing_request")
    assert [(task.state, task.try_number) for task in run.tasks] == [("failed", 3)]
    bought = submissions(airflow_stack, run)
    assert [entry["outcome"] for entry in bought] == ["FAILED"] * 3
    log = airflow_stack.airflow.api.task_log(run.dag_id, run.run_id, "video")
    assert "Failed requests are not billed" in log


def test_any_other_model_and_a_task_that_takes_its_result(airflow_stack):
    run = airflow_stack.run("any_model")
    assert run.state == "success", airflow_stack.logs(run)
    (bought,) = submissions(airflow_stack, run)
    report = airflow_stack.airflow.api.xcoms(run.dag_id, run.run_id, "report")["return_value"]
    assert report.startswith("wan-2.2-t2v-fast cost ")
    assert xcoms(airflow_stack, run)["request_id"] == bought["request_id"]


def test_a_cleared_success_returns_what_it_has(airflow_stack):
    run = airflow_stack.run("blocking_video")
    assert run.state == "success", airflow_stack.logs(run)
    first = xcoms(airflow_stack, run)["return_value"]
    airflow_stack.airflow.api.clear(run.dag_id, run.run_id)
    assert airflow_stack.airflow.api.wait_for_run(run.dag_id, run.run_id, timeout=120) == "success"
    assert xcoms(airflow_stack, run)["return_value"] == {**first, "reused": True}
    assert len(submissions(airflow_stack, run)) == 1


def test_no_log_of_any_process_holds_the_key(airflow_stack):
    """Last in this file: it reads what the tests before it have written."""
    key = airflow_stack.emulator.key.encode()
    logs = [path for path in airflow_stack.airflow.logs.rglob("*.log") if path.is_file()]
    assert len(logs) > 4
    assert [path for path in logs if key in path.read_bytes()] == []
    assert [path for path in logs if b"s3cr3t" in path.read_bytes()] == []
