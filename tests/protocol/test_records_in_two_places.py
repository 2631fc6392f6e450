"""The record in Airflow's task state, and the one beside the destination."""

from __future__ import annotations

import json

import pytest
from airflow.sdk.exceptions import AirflowFailException
from videos import PROMPT, ids, video, videos

from airflow_ltx.exceptions import SubmitOutcomeUnknown, WaitTimeout
from runner import TaskState

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")


def test_the_record_beside_the_destination_tells_whose_it_is_and_holds_no_prompt(segmind, tmp_path):
    run = video(destination=f"file://{tmp_path}/clip.mp4")
    result = run.try_once()
    (file,) = (tmp_path / "_segmind").iterdir()
    told = json.loads(file.read_text())
    assert told["task_instance"]["dag_id"] == run.ti.dag_id
    assert told["purchases"] == run.purchases
    assert told["purchases"][0]["result"] == result
    assert PROMPT not in file.read_text()


def test_either_copy_of_a_record_is_enough(segmind, tmp_path):
    run = video(destination=f"file://{tmp_path}/")
    first = run.try_once()
    run.state = TaskState()
    assert run.try_once()["request_id"] == first["request_id"]
    (file,) = (tmp_path / "_segmind").iterdir()
    file.unlink()
    run.clear()
    assert run.try_once()["request_id"] == first["request_id"]
    assert len(segmind.ledger.submissions) == 1


def test_a_file_that_is_no_record_is_not_taken_for_none(segmind, tmp_path):
    run = video(state=False, destination=f"file://{tmp_path}/")
    run.try_once()
    (file,) = (tmp_path / "_segmind").iterdir()
    file.write_text("{")
    with pytest.raises(AirflowFailException, match="holds no record that this version can read"):
        run.try_once()
    assert len(segmind.ledger.submissions) == 1


def test_two_mapped_tasks_have_a_record_each(segmind, tmp_path):
    runs = [video(state=False, destination=f"file://{tmp_path}/") for _ in range(2)]
    results = []
    for index, run in enumerate(runs):
        run.map_index = index
        results.append(run.try_once())
    for index, run in enumerate(runs):
        run.clear()
        assert run.try_once()["request_id"] == results[index]["request_id"]
    assert len(segmind.ledger.submissions) == 2


def test_a_lost_answer_is_looked_for_before_anything_else_is_bought(segmind, later):
    """An older one of other parameters does not keep it from being found."""
    segmind.configure(inference_seconds=30)
    run = videos([f"{PROMPT} one", f"{PROMPT} two"], timeout=0.3, deferrable=False)
    with pytest.raises(WaitTimeout):
        run.try_once()
    segmind.add_faults("submit:after:reset", "history:before:503*inf")
    with pytest.raises(SubmitOutcomeUnknown):
        run.try_once()
    segmind.set_faults()
    later(60)
    assert run.try_once()["request_id"] == ids(segmind)[1]
    assert len(segmind.ledger.submissions) == 2


def test_a_task_run_without_any_record_says_so_when_it_buys(segmind, told):
    video(state=False).try_once()
    assert "This Airflow keeps no record between tries" in told()
