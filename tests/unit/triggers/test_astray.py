"""Whether an event is of the wait that the task went into."""

from __future__ import annotations

import logging

import pytest

from airflow_ltx.triggers.astray import missed, new_wait

AWAITED = {"wait": "a", "request_id": "r1"}
log = logging.getLogger(__name__)


def test_each_wait_has_a_name_of_its_own():
    assert len({new_wait() for _ in range(100)}) == 100


@pytest.mark.parametrize("awaited", [None, {}, AWAITED])
def test_the_right_event_is_none_that_is_missed(awaited, caplog):
    assert missed({"wait": "a", "request_id": "r1"}, awaited, log) is None
    assert not caplog.records


@pytest.mark.parametrize("payload", [{"wait": "b"}, {"request_id": "r1"}, {}, None, [], "2026-01-02", 7])
def test_whatever_does_not_name_this_wait_is_of_another_one(payload, caplog):
    assert missed(payload, AWAITED, log) is AWAITED
    assert "It is ignored" in caplog.text


def test_a_task_that_kept_nothing_takes_any_event():
    assert missed({"wait": "b"}, None, log) is None


def test_the_log_names_the_other_request(caplog):
    missed({"wait": "b", "request_id": "r2"}, AWAITED, log)
    assert "another one (request r2):" in caplog.text
