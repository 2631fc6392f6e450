"""Whether an event is of the wait that the task went into, and what the task does if it is not."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred

from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.wish import Wish
from airflow_ltx.triggers.astray import arguments_of, of_a_new_wait, wait_for
from airflow_ltx.triggers.segmind import SegmindRequestTrigger

NOON = 1_790_000_000.0
LANDING = Wish(parse_destination("s3://store@bucket/videos/")).to_json()


@pytest.fixture
def clock(monkeypatch):
    """``clock(seconds)`` lets time pass."""
    moment = NOON
    monkeypatch.setattr("airflow_ltx.triggers.astray.now", lambda: moment)

    def pass_time(seconds: float) -> None:
        nonlocal moment
        moment += seconds

    return pass_time


def begun(**kwargs):
    trigger = SegmindRequestTrigger("r1", deadline=NOON + 50, landing=LANDING, seed=7, **of_a_new_wait())
    wait = wait_for(trigger, "execute_complete", timedelta(seconds=900), **kwargs)
    return trigger, json.loads(json.dumps(wait["kwargs"]))


def resumed(kept, event):
    return arguments_of(BaseOperator(task_id="t"), "execute_complete", {**kept, "event": event})


def test_each_wait_has_a_name_of_its_own():
    assert len({of_a_new_wait()["wait"] for _ in range(100)}) == 100


def test_the_method_gets_its_own_event_and_arguments_and_nothing_else(clock):
    trigger, kept = begun(since=3.5)
    event = {"wait": trigger.wait, "request_id": "r1"}
    assert resumed(kept, event) == {"event": event, "since": 3.5}


@pytest.mark.parametrize("kept", [None, {}, {"error": "x", "traceback": []}, {"event": {"wait": "another"}}])
def test_who_kept_no_wait_takes_what_comes(kept):
    assert arguments_of(BaseOperator(task_id="t"), "execute_complete", kept) == (kept or {})


@pytest.mark.parametrize("event", [{"wait": "b"}, {"request_id": "r1"}, {}, None, [], "2026-01-02", 7])
def test_after_any_other_event_the_same_wait_goes_on(clock, event):
    trigger, kept = begun(since=3.5)
    clock(100)
    with pytest.raises(TaskDeferred) as deferred:
        resumed(kept, event)
    again = deferred.value
    path, before = trigger.serialize()
    same_path, after = again.trigger.serialize()
    renewed = {"wait": again.trigger.wait, "not_before": again.trigger.not_before}
    assert (same_path, after) == (path, {**before, **renewed})
    assert again.trigger.wait != trigger.wait
    assert again.trigger.not_before == pytest.approx(trigger.not_before + 100)
    assert (again.method_name, again.timeout) == ("execute_complete", timedelta(seconds=800))
    # However often that happens.
    event = {"wait": again.trigger.wait}
    assert resumed(json.loads(json.dumps(again.kwargs)), event) == {"event": event, "since": 3.5}


@pytest.mark.parametrize(
    ("event", "named"),
    [({"wait": "b", "request_id": "r2"}, True), ({"request_id": "r2"}, False), ("r2", False), ({}, False)],
)
def test_the_log_names_a_request_of_our_own_events_alone(clock, capsys, event, named):
    """What is in those of other providers is none of its business."""
    _, kept = begun()
    with pytest.raises(TaskDeferred):
        resumed(kept, event)
    said = capsys.readouterr().out
    assert "It is ignored" in said
    assert ("another one (request r2):" in said) is named
    assert ("r2" in said) is named


def test_a_wait_that_is_over_by_then_has_time_for_one_look(clock):
    _, kept = begun()
    clock(5000)
    with pytest.raises(TaskDeferred) as deferred:
        resumed(kept, None)
    assert deferred.value.timeout == timedelta(minutes=1)
