"""Triggerers killed with -9 or halted between a video's first byte in the bucket and the word of it."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from datetime import datetime
from typing import Any

import pytest
from scenario import PATIENCE, RemoteScenario

from local_airflow import TRIGGERER

SIZE = 40 * 1024**2
"""Some parts, so that there is something to be left behind."""
SLOW = 4_000_000
"""Bytes per second at which a landing can be watched."""


@pytest.fixture
def large_files(airflow_stack, inference):
    """Long enough for a fault to be scripted for a request that is known by its id."""
    inference(4)
    airflow_stack.emulator.configure(least_bytes=SIZE)
    yield
    airflow_stack.emulator.configure(least_bytes=0)


class HeldScenario(RemoteScenario):
    """One whose task names its file, and takes that name from no other request."""

    def name_of(self, bought: dict[str, Any]) -> str:
        return "clip.mp4"


def key_of(run: RemoteScenario) -> str:
    (bought,) = run.submissions
    return f"{run.run_id}/{run.name_of(bought)}"


def parts_of(run: RemoteScenario) -> list[int]:
    """Sizes of the parts that are up and belong to nothing yet."""
    bucket = run.stack.bucket
    return bucket.objects.waiting_parts(bucket.bucket, key_of(run))


def head_of(run: RemoteScenario) -> dict[str, Any]:
    bucket = run.stack.bucket
    return bucket.objects.client.head_object(Bucket=bucket.bucket, Key=key_of(run))


def facts_of(run: RemoteScenario) -> dict[str, Any]:
    """What tells the object from another one of the same name."""
    head = head_of(run)
    return {name: head[name] for name in ("ETag", "ContentLength", "ContentType", "Metadata")}


def written_at(run: RemoteScenario) -> datetime:
    return head_of(run)["LastModified"]


def served(url: str) -> bytes:
    """The file as its host has it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=60) as response:
        return response.read()


def landing_slowly(stack) -> RemoteScenario:
    """A video whose first landing takes its time."""
    run = RemoteScenario.begin(stack, "remote_video")
    stack.emulator.add_faults(f"download:after:slow:{SLOW}@{run.submitted()}")
    return run


def check_landed(run: RemoteScenario) -> None:
    """One video was bought, and it is in the bucket as it was made, with nothing beside it."""
    result = run.the_one_video_of_the_first_try()
    (name,) = run.finished_files()
    assert run.file(name)[1] == served(result["output_url"])
    assert result["bytes"] == SIZE
    assert facts_of(run)["Metadata"] == {"segmind-request-id": result["request_id"]}
    assert key_of(run) not in run.stack.bucket.unfinished_uploads()


def test_a_restarted_triggerer_lands_what_was_under_way_and_knows_what_was_landed_but_not_told(
    airflow_stack, triggerer, large_files
):
    holding = HeldScenario.begin(airflow_stack, "held_remote_video")
    landing = landing_slowly(airflow_stack)
    holding.until(HeldScenario.finished_files, "landed file")
    landing.until(parts_of, "part of a file")
    triggerer.kill(TRIGGERER, tree=True)
    assert [run.task.state for run in (landing, holding)] == ["deferred", "deferred"]
    assert landing.finished_files() == []
    assert 0 < sum(parts_of(landing)) < SIZE
    landed = facts_of(holding)
    triggerer.start_component(TRIGGERER)
    for run in (landing, holding):
        check_landed(run.ended())
    assert facts_of(holding) == landed


def test_a_triggerer_that_was_halted_in_a_landing_and_goes_on_later_does_its_successors_file_no_harm(
    airflow_stack, triggerer, start_second, large_files
):
    run = landing_slowly(airflow_stack)
    run.until(parts_of, "part of a file")
    triggerer.kill(TRIGGERER, signal.SIGSTOP, tree=True)
    assert run.finished_files() == []
    assert 0 < sum(parts_of(run)) < SIZE
    start_second()
    check_landed(run.ended())
    landed, at = facts_of(run), written_at(run)
    # All but the process that would tell the trigger that it is not wanted any more.
    for pid in set(triggerer.pids(TRIGGERER)) - {triggerer.main_pid(TRIGGERER)}:
        os.kill(pid, signal.SIGCONT)
    deadline = time.monotonic() + PATIENCE
    while written_at(run) == at:
        assert time.monotonic() < deadline, "What was halted has not landed in the end."
        time.sleep(0.25)
    check_landed(run)
    assert facts_of(run) == landed
    triggerer.kill(TRIGGERER, tree=True)
    check_landed(run)
