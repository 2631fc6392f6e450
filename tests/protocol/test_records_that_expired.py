"""Requests that are older than the service's memory: looked up in the history, never bought again."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException
from videos import Killed, files, ids, killed, video

from airflow_ltx.exceptions import RequestNotFound, SegmindError, WaitTimeout
from runner import TaskRun
from segmind_service import OTHER_KEY, connection

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")


@pytest.fixture
def late(later):
    """The task's first try gave up waiting; the next one comes when the record is gone."""

    def wait(run: TaskRun, seconds: float = 7200) -> None:
        with pytest.raises(WaitTimeout):
            run.try_once()
        later(seconds)

    return wait


@pytest.fixture
def slow(segmind):
    segmind.configure(inference_seconds=1)
    return segmind


def test_a_record_that_expired_is_read_in_the_history_and_landed(slow, late, tmp_path):
    run = video(timeout=0.1, deferrable=False, destination=f"file://{tmp_path}/")
    late(run)
    result = run.try_once()
    assert ids(slow) == [result["request_id"]]
    assert [path.stat().st_size for path in files(tmp_path)] == [result["bytes"]]
    assert result["cost"] == pytest.approx(slow.ledger.billed_total())


def test_a_history_that_cannot_be_read_is_tried_again(slow, late):
    run = video(timeout=0.1, deferrable=False)
    late(run)
    slow.add_faults("history:before:401")
    with pytest.raises(Exception, match="A retry takes up this request") as caught:
        run.try_once()
    assert not isinstance(caught.value, AirflowFailException)
    assert run.try_once()["request_id"] == ids(slow)[0]


def test_what_nobody_knows_any_more_is_never_bought_again_silently(slow, late):
    run = video(timeout=0.1, deferrable=False)
    late(run)
    slow.add_faults("history:before:404*inf")
    for said in ("clearing the task does", "nothing can be collected"):
        with pytest.raises(AirflowFailException, match=said):
            run.try_once()
    assert len(slow.ledger.submissions) == 1
    run.clear()
    slow.configure(inference_seconds=0)
    assert run.try_once()["reused"] is False


@pytest.fixture
def lost(slow, late, monkeypatch):
    """A task that gave its request up as lost: the connection had another workspace's key for a while."""
    run = video(timeout=0.1, deferrable=False)
    late(run)
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection(slow.base_url, OTHER_KEY))
        with pytest.raises(AirflowFailException, match="clearing the task does"):
            run.try_once()
    assert run.purchases[0]["phase"] == "lost"
    return run


def test_what_was_lost_for_a_while_is_collected_and_not_bought_again_by_clearing(lost, slow, told):
    with pytest.raises(AirflowFailException, match="nothing can be collected"):
        lost.try_once()
    lost.clear()
    result = lost.try_once()
    assert ids(slow) == [result["request_id"]]
    assert (result["reused"], result["status"]) == (True, "COMPLETED")
    assert f"Reattached to request {ids(slow)[0]}" in told()


def test_what_is_lost_for_good_is_named_when_a_person_has_another_one_bought(lost, slow, told):
    slow.add_faults("history:before:404*inf")
    slow.configure(inference_seconds=0)
    lost.clear()
    assert lost.try_once()["request_id"] == ids(slow)[1]
    said = told()
    assert f"Left behind request {ids(slow)[0]} of an earlier try" in said
    assert "another look found nothing of it" in said
    assert "billed if it completed" in said


def test_a_lost_request_that_cannot_be_looked_for_is_not_bought_again(lost, slow):
    slow.add_faults("history:before:401*2")
    lost.clear()
    with pytest.raises(SegmindError, match="A retry takes up this request and buys nothing"):
        lost.try_once()
    assert lost.try_once()["request_id"] == ids(slow)[0]
    assert len(ids(slow)) == 1


def test_a_try_that_dies_while_it_looks_again_is_followed_by_one_that_looks_again(lost, slow, monkeypatch):
    lost.clear()
    with monkeypatch.context() as patch:
        patch.setattr("airflow_ltx.operators._finish.still_gone", lambda *args: killed(None))
        with pytest.raises(Killed):
            lost.try_once()
    assert lost.try_once()["request_id"] == ids(slow)[0]
    assert len(ids(slow)) == 1


def test_a_url_that_the_history_does_not_tell_yet_is_waited_for_an_hour(slow, late, later):
    run = video(timeout=0.1, deferrable=False)
    late(run, 3700)
    slow.configure(record_lag_seconds=6000)
    with pytest.raises(RequestNotFound, match=r"no URL yet.*A retry takes up this request"):
        run.try_once()
    later(3000)
    assert run.try_once()["request_id"] == ids(slow)[0]


def test_a_url_that_the_history_never_tells_is_lost(slow, late, later):
    run = video(timeout=0.1, deferrable=False)
    late(run, 7300)
    slow.configure(record_lag_seconds=1e6)
    with pytest.raises(AirflowFailException, match="clearing the task does"):
        run.try_once()


def test_another_workspaces_key_is_named(slow, late, monkeypatch):
    run = video(timeout=0.1, deferrable=False)
    late(run, 300)
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection(slow.base_url, OTHER_KEY))
    with pytest.raises(RequestNotFound, match="another workspace or API key"):
        run.try_once()
    assert len(slow.ledger.submissions) == 1
