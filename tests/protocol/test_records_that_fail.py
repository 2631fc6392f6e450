"""Records that cannot be read, written or completed: nothing is bought twice, and no id is lost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import AirflowFailException
from videos import Killed, changing, ids, killed, video

from airflow_ltx.exceptions import DestinationError, RecordUnavailable, SegmindError, WaitTimeout
from airflow_ltx.landing.local_place import LocalPlace
from runner import TaskState

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")


def broken(self, *args, **options):
    raise ConnectionError("the api-server is away")


def test_what_cannot_be_remembered_is_not_bought(segmind, monkeypatch):
    run = video()
    with monkeypatch.context() as patch:
        patch.setattr(TaskState, "set", broken)
        with pytest.raises(RecordUnavailable, match="Nothing was sent or billed"):
            run.try_once()
    assert segmind.ledger.submissions == []
    run.try_once()


def test_an_intent_that_only_one_place_took_is_withdrawn(segmind, tmp_path, monkeypatch):
    run = video(destination=f"file://{tmp_path}/", timeout=0.5)

    def full(self, path, *content):
        raise DestinationError(f"Writing {path} failed (No space left on device).")

    with monkeypatch.context() as patch:
        patch.setattr(LocalPlace, "write", full)
        with pytest.raises(RecordUnavailable, match="No space left"):
            run.try_once()
    assert [purchase["phase"] for purchase in run.purchases] == ["failed"]
    assert segmind.ledger.submissions == []
    assert run.try_once()["reused"] is False


def test_another_submit_that_cannot_be_recorded_keeps_the_lost_one_on_record(segmind, tmp_path, monkeypatch):
    run = video(
        destination=f"file://{tmp_path}/", timeout=0.3, deferrable=False, on_orphaned_intent="resubmit"
    )
    segmind.add_faults("submit:after:reset")
    segmind.configure(history_lag_seconds=1000)
    room, write = iter([True, False]), LocalPlace.write

    def second_is_full(self, path, *content):
        if next(room, True):
            return write(self, path, *content)
        raise DestinationError(f"Writing {path} failed (No space left on device).")

    monkeypatch.setattr(LocalPlace, "write", second_is_full)
    with pytest.raises(RecordUnavailable, match="No space left"):
        run.try_once()
    segmind.configure(history_lag_seconds=0)
    assert run.try_once()["request_id"] == ids(segmind)[0]
    assert len(segmind.ledger.submissions) == 1


@pytest.mark.parametrize("fault", ["history:before:404*inf", "download:before:404*inf"])
def test_a_file_that_is_still_where_it_was_put_is_returned_whatever_went_wrong_elsewhere(
    segmind, tmp_path, later, fault
):
    how = {"destination": f"file://{tmp_path}/a/"}
    run = changing(lambda: how)
    first = run.try_once()
    later(4000)
    how["destination"] = f"file://{tmp_path}/b/"
    segmind.add_faults(fault)
    run.clear()
    with pytest.raises((SegmindError, AirflowFailException)):
        run.try_once()
    how["destination"] = f"file://{tmp_path}/a/"
    run.clear()
    again = run.try_once()
    assert (again["uri"], again["reused"]) == (first["uri"], True)
    assert len(segmind.ledger.submissions) == 1


def test_a_destination_that_broke_after_the_purchase_does_not_hide_it(segmind, tmp_path):
    run = video(state=False, destination=f"file://{tmp_path}/v/out.mp4")
    segmind.add_faults("status:before:503*inf")
    with pytest.raises(Killed):
        run.try_with(killed)
    (tmp_path / "v" / "out.mp4").mkdir()
    with pytest.raises(DestinationError) as caught:
        run.try_once()
    assert caught.value.retryable
    assert f"Request {ids(segmind)[0]}, bought by an earlier try, goes on" in str(caught.value)
    assert "Nothing was sent or billed" not in str(caught.value)


def test_a_record_that_cannot_be_read_is_not_taken_for_none(segmind, monkeypatch):
    run = video()
    monkeypatch.setattr(TaskState, "get", broken)
    with pytest.raises(RecordUnavailable, match=r"the api-server is away.*goes on from there"):
        run.try_once()
    assert segmind.ledger.submissions == []


def failing_after(good):
    """A task state that takes that many writes, and then none."""
    write, allowed = TaskState.set, iter(range(good))

    def set_(self, key, value, **options):
        if next(allowed, None) is None:
            raise ConnectionError("the api-server is away")
        write(self, key, value, **options)

    return set_


def test_a_purchase_that_could_not_be_recorded_is_found_by_its_intent(segmind, later, monkeypatch, told):
    segmind.configure(inference_seconds=30)
    run = video(timeout=0.1, deferrable=False)
    with monkeypatch.context() as patch:
        patch.setattr(TaskState, "set", failing_after(1))
        with pytest.raises(WaitTimeout, match="a retry looks for it in the account's history"):
            run.try_once()
    later(40)
    assert ids(segmind) == [run.try_once()["request_id"]]


def test_a_record_that_could_not_be_completed_is_completed_after_the_wait(segmind, monkeypatch):
    run = video()
    monkeypatch.setattr(TaskState, "set", second_write_fails())
    result = run.try_once()
    (purchase,) = run.purchases
    assert (purchase["phase"], purchase["request_id"]) == ("landed", result["request_id"])


def second_write_fails():
    """A task state that takes an intent, and not that it was bought."""
    write, fails = TaskState.set, iter([False, True])

    def set_(self, key, value, **options):
        if next(fails, False):
            raise ConnectionError("the api-server is away")
        write(self, key, value, **options)

    return set_


def test_an_id_that_only_an_xcom_tells_is_taken_up_before_anything_is_looked_for_or_bought(
    segmind, monkeypatch
):
    segmind.configure(history_lag_seconds=1e6)
    monkeypatch.setattr(TaskState, "set", second_write_fails())
    run = video(timeout=0.5, on_orphaned_intent="resubmit")

    def unanswered(deferral):
        time.sleep(1.0)
        return TriggerFailureReason.TRIGGER_TIMEOUT.value

    result = run.try_with(unanswered)
    assert ids(segmind) == [result["request_id"]]
    assert [(bought["phase"], bought["request_id"]) for bought in run.purchases] == [
        ("landed", *ids(segmind))
    ]


def test_an_id_that_was_taken_up_before_a_lost_submit_does_not_stand_for_it(segmind, later):
    segmind.add_faults("submit:after:fail")
    run = video(wait_for_completion=False, timeout=1)
    failing = run.try_once()["request_id"]
    later(60)
    segmind.add_faults("submit:after:reset")
    segmind.configure(history_lag_seconds=1000)

    def unanswered(deferral):
        assert run.ti.xcom["request_id"] == failing
        segmind.configure(history_lag_seconds=0)
        return TriggerFailureReason.TRIGGER_TIMEOUT.value

    assert run.try_with(unanswered)["request_id"] == ids(segmind)[1]
    assert len(ids(segmind)) == 2


def test_a_record_that_cannot_be_read_after_the_wait_does_not_hide_the_requests_id(segmind, monkeypatch):
    run = video()

    def breaks(deferral):
        monkeypatch.setattr(TaskState, "get", broken)
        return {"event": asyncio.run(run.fire(deferral))}

    with pytest.raises(RecordUnavailable, match="the api-server is away") as caught:
        run.try_with(breaks)
    assert f"Request {ids(segmind)[0]} was bought before that" in str(caught.value)
    assert caught.value.request_id == ids(segmind)[0]


def test_a_record_that_is_none_after_the_wait_does_not_hide_the_requests_id(segmind):
    run = video()

    def spoilt(deferral):
        event = asyncio.run(run.fire(deferral))
        run.state.set("airflow_ltx.request", "something else")
        return {"event": event}

    with pytest.raises(AirflowFailException, match="holds no record") as caught:
        run.try_with(spoilt)
    assert f"Request {ids(segmind)[0]} was bought before that" in str(caught.value)


def test_a_store_that_fails_at_the_very_end_does_not_fail_a_task_that_has_its_video(
    segmind, tmp_path, monkeypatch, told
):
    monkeypatch.setattr(TaskState, "set", failing_after(2))
    result = video(destination=f"file://{tmp_path}/").try_once()
    assert Path(result["uri"].removeprefix("file://")).exists()
    assert "is landed, and that could not be recorded" in told()
