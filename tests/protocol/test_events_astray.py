"""A task that is told how another task's wait ended waits on for its own request, and buys nothing."""

from __future__ import annotations

import asyncio
import re

import pytest
from airflow.sdk.exceptions import AirflowFailException
from videos import changing, ids, video

from airflow_ltx.durability.task_state import KEY
from airflow_ltx.hooks import _clients
from airflow_ltx.sensors.segmind import SegmindRequestSensor
from airflow_ltx.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator
from runner import TaskRun

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")

SAID = "is not of this task's wait"


def first_told(event, run, do=lambda: None):
    """Answers the first deferral with another wait's event, all others as a triggerer does."""

    def answer(deferral):
        if len(run.deferred) == 1:
            do()
            return {"event": event}
        return {"event": asyncio.run(run.fire(deferral))}

    return answer


@pytest.fixture
def other(segmind):
    """The events of another task: how its request ended, and how its search did."""
    ends, finds = video(seed=1), video(seed=2)
    ends.try_once()
    segmind.add_faults("submit:after:reset")
    segmind.configure(history_lag_seconds=0.3)
    finds.try_once()
    segmind.configure(history_lag_seconds=0)
    ended, searched = ends.events[0], finds.events[0]
    assert [ended["status"], searched["status"]] == ["completed", "found"]
    return {"request": ended, "search": searched, "none": None, "moment": "2026-01-02T03:04:05Z"}


@pytest.fixture
def theirs(other, segmind):
    """How many requests the other task bought."""
    return len(ids(segmind))


EVENTS = ("request", "search", "none", "moment")


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", [True, False])
def test_the_wait_begins_anew_in_the_triggerer(segmind, other, theirs, event, state, told):
    segmind.configure(inference_seconds=0.6)
    run = video(state=state)
    result = run.try_with(first_told(other[event], run))
    (own,) = ids(segmind)[theirs:]
    assert result["request_id"] == run.ti.xcom["request_id"] == own
    assert result["seed"] == segmind.ledger.submissions[-1].body["seed"]
    assert (result["status"], result["reused"]) == ("COMPLETED", False)
    assert len(run.deferred) == 2
    said = told()
    assert said.count(SAID) == 1
    named = [f"(request {other[event]['request_id']})"] if event in ("request", "search") else []
    assert re.findall(r"\(request \w+\)", said) == named


def test_what_is_completed_by_then_is_collected_at_once(segmind, other, theirs, tmp_path):
    run = video(destination=f"file://{tmp_path}/")
    result = run.try_with(first_told(other["request"], run, lambda: segmind.advance(60)))
    (own,) = ids(segmind)[theirs:]
    assert result["request_id"] == own
    assert result["uri"] == f"file://{tmp_path}/{own}.mp4"
    assert len(run.deferred) == 1
    assert [purchase["request_id"] for purchase in run.purchases] == [own]


def test_on_a_worker_it_is_waited_for_there(segmind, other, theirs):
    segmind.configure(inference_seconds=0.6)
    mode = {"deferrable": True}
    run = changing(lambda: mode)
    result = run.try_with(first_told(other["request"], run, lambda: mode.update(deferrable=False)))
    assert [result["request_id"]] == ids(segmind)[theirs:]
    assert len(run.deferred) == 1


def test_what_another_wait_for_the_same_request_landed_is_not_its_file(segmind, tmp_path):
    segmind.configure(inference_seconds=0.6)
    run = video(destination=f"file://{tmp_path}/here/")

    def answer(deferral):
        event = asyncio.run(run.fire(deferral))
        elsewhere = {"uri": "s3://elsewhere/theirs.mp4", "bytes": 1, "sha256": "0" * 64, "reused": False}
        return {"event": {**event, "wait": "another one", "landed": [elsewhere]}}

    result = run.try_with(answer)
    assert result["uri"] == f"file://{tmp_path}/here/{ids(segmind)[0]}.mp4"


@pytest.mark.parametrize("event", EVENTS)
def test_a_lost_request_is_searched_on(segmind, other, theirs, event, told):
    segmind.configure(history_lag_seconds=0.5)
    segmind.add_faults("submit:after:reset")
    run = video()
    result = run.try_with(first_told(other[event], run))
    (own,) = ids(segmind)[theirs:]
    assert result["request_id"] == own
    methods = [deferral.method_name for deferral in run.deferred]
    assert methods == ["execute_recovered", "execute_recovered"]
    assert SAID in told()


def test_a_lost_request_whose_record_was_deleted_is_not_taken_for_another_ones(segmind, other, theirs):
    """For good, since a retry would buy."""
    segmind.configure(history_lag_seconds=0.5)
    segmind.add_faults("submit:after:reset")
    run = video()
    with pytest.raises(AirflowFailException, match="nothing was bought in its place") as failed:
        run.try_with(first_told(other["search"], run, lambda: run.state.delete(KEY)))
    assert other["search"]["request_id"] not in str(failed.value)
    assert len(ids(segmind)) == theirs + 1


def test_a_submit_that_waits_for_its_turn_is_only_tried_sooner(segmind, other, theirs, monkeypatch):
    monkeypatch.setattr(_clients, "_accounts", {})
    monkeypatch.setattr(_clients, "_clients", {})
    segmind.add_faults("submit:before:429:6")
    run = video(timeout=60)
    result = run.try_with(first_told(other["request"], run))
    assert [result["request_id"]] == ids(segmind)[theirs:]
    methods = [deferral.method_name for deferral in run.deferred]
    assert methods == ["execute_in_turn", "execute_in_turn", "execute_complete"]
    first, second = (deferral.kwargs["since"] for deferral in run.deferred[:2])
    assert first == second


def sensor(request_id, _):
    return SegmindRequestSensor(task_id="wait", request_id=request_id, poke_interval=0.05, timeout=20)


def transfer(request_id, folder):
    return SegmindToObjectStorageOperator(
        task_id="copy", request_id=request_id, destination=f"file://{folder}/", poll_interval=0.05
    )


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("build", [sensor, transfer])
def test_who_buys_nothing_waits_on_as_well(segmind, other, theirs, event, build, tmp_path):
    segmind.configure(inference_seconds=1.0)
    own = video(wait_for_completion=False).try_once()["request_id"]
    run = TaskRun(lambda: build(own, tmp_path))
    result = run.try_with(first_told(other[event], run))
    assert (result["request_id"], result["status"]) == (own, "COMPLETED")
    assert len(run.deferred) == 2
    assert len(ids(segmind)) == theirs + 1
