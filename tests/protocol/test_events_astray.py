"""A task that is told how another task's wait ended waits on for its own request, and buys nothing."""

from __future__ import annotations

import asyncio
import re

import pytest
from videos import PROMPT, USUAL, ids, video

from airflow_ltx.durability.task_state import KEY
from airflow_ltx.hooks import _clients
from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.sensors.segmind import SegmindRequestSensor
from airflow_ltx.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator
from runner import TaskRun

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")

SAID = "is not of this task's wait"
LATE = 1000
EVENTS = ("request", "search", "turn", "none", "moment")


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
    """What comes of waits of other tasks."""
    ends, finds = video(seed=1), video(seed=2)
    ends.try_once()
    segmind.add_faults("submit:after:reset")
    segmind.configure(history_lag_seconds=LATE)

    def show(deferral):
        segmind.configure(history_lag_seconds=0)
        return {"event": asyncio.run(finds.fire(deferral))}

    finds.try_with(show)
    ended, searched = ends.events[0], finds.events[0]
    assert [ended["status"], searched["status"]] == ["completed", "found"]
    turn, moment = {"version": 1, "wait": "theirs"}, "2026-01-02T03:04:05Z"
    return {"request": ended, "search": searched, "turn": turn, "none": None, "moment": moment}


@pytest.fixture
def theirs(other, segmind):
    """How many requests the other tasks bought."""
    return len(ids(segmind))


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", [True, False])
def test_the_task_waits_on_for_its_own(segmind, other, theirs, event, state, told):
    run = video(state=state)
    result = run.try_with(first_told(other[event], run))
    (own,) = ids(segmind)[theirs:]
    assert result["request_id"] == run.ti.xcom["request_id"] == own
    assert result["seed"] == segmind.ledger.submissions[-1].body["seed"]
    assert (result["status"], result["reused"]) == ("COMPLETED", False)
    first, second = (deferral.trigger for deferral in run.deferred)
    assert (first.request_id, first.deadline) == (second.request_id, second.deadline)
    said = told()
    assert said.count(SAID) == 1
    named = [f"(request {other[event]['request_id']})"] if event in ("request", "search") else []
    assert re.findall(r"\(request \w+\)", said) == named


def test_what_another_wait_for_the_same_request_landed_is_not_its_file(segmind, tmp_path):
    run = video(destination=f"file://{tmp_path}/here/")

    def answer(deferral):
        event = asyncio.run(run.fire(deferral))
        if len(run.deferred) > 1:
            return {"event": event}
        elsewhere = {"uri": "s3://elsewhere/theirs.mp4", "bytes": 1, "sha256": "0" * 64, "reused": False}
        return {"event": {**event, "wait": "theirs", "landed": [elsewhere]}}

    result = run.try_with(answer)
    assert result["uri"] == f"file://{tmp_path}/here/{ids(segmind)[0]}.mp4"


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("record", ["kept", "deleted"])
def test_a_lost_request_is_searched_on(segmind, other, theirs, event, record, told):
    segmind.configure(history_lag_seconds=LATE)
    segmind.add_faults("submit:after:reset")
    run = video()

    def meanwhile():
        segmind.configure(history_lag_seconds=0)
        if record == "deleted":
            run.state.delete(KEY)

    result = run.try_with(first_told(other[event], run, meanwhile))
    assert [result["request_id"]] == ids(segmind)[theirs:]
    methods = [deferral.method_name for deferral in run.deferred]
    assert methods[:2] == ["execute_recovered", "execute_recovered"]
    assert SAID in told()


@pytest.mark.parametrize("event", EVENTS)
def test_the_turn_of_a_submit_is_waited_for_on(segmind, other, theirs, event, monkeypatch, told):
    monkeypatch.setattr("airflow_ltx.operators._turned_away.PATIENCE", 0.0)
    monkeypatch.setattr(_clients, "_accounts", {})
    monkeypatch.setattr(_clients, "_clients", {})
    segmind.add_faults("submit:before:429:2")
    run = video()
    result = run.try_with(first_told(other[event], run))
    assert [result["request_id"]] == ids(segmind)[theirs:]
    first, second, _ = run.deferred
    assert first.method_name == second.method_name == "execute_in_turn"
    assert first.trigger.deadline == second.trigger.deadline
    assert first.kwargs["since"] == second.kwargs["since"]
    said = told()
    assert (said.count(SAID), said.count("refused the submit")) == (1, 1)


def sensor(request_id, _):
    return SegmindRequestSensor(task_id="wait", request_id=request_id, poke_interval=0.05, timeout=20)


def transfer(request_id, folder):
    return SegmindToObjectStorageOperator(
        task_id="copy", request_id=request_id, destination=f"file://{folder}/", poll_interval=0.05
    )


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("build", [sensor, transfer])
def test_who_buys_nothing_waits_on_as_well(segmind, other, theirs, event, build, tmp_path):
    segmind.configure(inference_seconds=1000)
    own = video(wait_for_completion=False).try_once()["request_id"]
    run = TaskRun(lambda: build(own, tmp_path))
    result = run.try_with(first_told(other[event], run, lambda: segmind.advance(1000)))
    assert (result["request_id"], result["status"]) == (own, "COMPLETED")
    first, second = (deferral.trigger for deferral in run.deferred)
    assert first.deadline == second.deadline
    assert len(ids(segmind)) == theirs + 1


class Own(LTXSubmitOperator):
    """With the method's usual arguments."""

    def execute_complete(self, context, event=None):
        return super().execute_complete(context, event)["request_id"]


def test_a_subclass_with_a_method_of_its_own_is_resumed_as_ever(segmind, other, theirs):
    run = TaskRun(lambda: Own(**{**USUAL, "prompt": PROMPT}))
    result = run.try_with(first_told(other["request"], run))
    assert [result] == ids(segmind)[theirs:]
