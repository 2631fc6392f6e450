"""The hand-over to the triggerer."""

from __future__ import annotations

import json
import time

import pytest
from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout

from airflow_ltx.exceptions import ConfigurationError
from airflow_ltx.request import GivenRequest
from airflow_ltx.triggers.deferral import backstop, check_storable, request_trigger, unanswered
from airflow_ltx.triggers.event import RequestEvent
from airflow_ltx.triggers.segmind import SegmindRequestTrigger

REQUEST = GivenRequest("abc", "ltx-video", 1000.0)


def test_airflows_own_time_out_comes_after_the_last_look_and_the_landing():
    landing, minute = 600, 60
    for ahead in (-100.0, 0.0, 1200.0):
        limit = backstop(time.time() + ahead, call_timeout=30.0).total_seconds()
        assert limit >= max(0.0, ahead) - 1 + landing + minute + 2 * 30


def test_a_trigger_for_a_task_that_defers_now_holds_its_event():
    trigger = request_trigger(REQUEST, "segmind_default", deadline=time.time() + 60, poll_interval=None)
    assert trigger.not_before >= time.time() + 7
    check_storable(trigger)


def test_arguments_that_do_not_survive_storing_are_found_before_the_purchase():
    class Forgetful(SegmindRequestTrigger):
        def serialize(self):
            path, kwargs = super().serialize()
            return path, {**kwargs, "deadline": time.perf_counter()}

    with pytest.raises(ConfigurationError, match="do not survive"):
        check_storable(Forgetful("abc"))


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (TaskDeferralTimeout("Trigger timeout"), "timeout", "Check that one is running"),
        (TaskDeferralError("Trigger failure"), "error", "package is installed"),
    ],
)
def test_a_silent_triggerer_makes_an_event_of_the_known_kind(error, status, said):
    event = unanswered(REQUEST, error)
    assert (event.status, event.request_id, event.submitted_at) == (status, "abc", 1000.0)
    assert said in event.reason
    assert RequestEvent.from_payload(json.loads(json.dumps(event.to_payload()))) == event
