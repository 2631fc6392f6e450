"""Requests of the same body and the same seed of an author's own: a lost one may be taken for another's."""

from __future__ import annotations

import time

import pytest
from videos import clip, ids, video

from airflow_ltx.emulator import FaultRule
from airflow_ltx.exceptions import RequestFailed, SubmitOutcomeUnknown

FAILED = {"status": "FAILED", "error": "The GPU went away"}

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")


@pytest.fixture
def mistaken(segmind, monkeypatch):
    """A task whose lost request was taken for somebody else's, which failed."""

    # The row of the lost one is waited for.
    monkeypatch.setattr("airflow_ltx.durability.recovery._SETTLING", 4.0)

    def begin(**arguments):
        segmind.configure(history_lag_seconds=1.5, inference_seconds=3)
        segmind.add_faults("submit:after:fail:The GPU went away")
        video(seed=7, wait_for_completion=False).try_once()
        # Its row is there, and that of the next one is not.
        time.sleep(1.6)
        segmind.add_faults("submit:after:reset")
        run = video(seed=7, **arguments)
        with pytest.raises(RequestFailed, match=ids(segmind)[0]):
            run.try_once()
        return run

    return begin


@pytest.mark.parametrize("deferrable", [True, False])
def test_what_was_taken_for_it_and_failed_is_followed_by_the_request_itself(
    segmind, mistaken, told, deferrable
):
    run = mistaken(deferrable=deferrable)
    result = run.try_once()
    assert [result["request_id"]] == ids(segmind)[1:]
    assert result["status"] == "COMPLETED"
    assert f"Request {ids(segmind)[0]} came to nothing, and only a search had found it" in told()


def test_a_history_that_cannot_be_read_then_is_not_one_without_it(segmind, mistaken):
    run = mistaken()
    segmind.add_faults("history:before:403*inf")
    with pytest.raises(SubmitOutcomeUnknown, match="history could not be read") as caught:
        run.try_once()
    assert caught.value.retryable
    assert "buys another one only once the history is read and knows nothing of it" in str(caught.value)
    assert "begins anew" not in str(caught.value)
    segmind.set_faults()
    assert [run.try_once()["request_id"]] == ids(segmind)[1:]


def test_nor_is_one_that_does_not_tell_yet_what_was_asked_for(segmind, mistaken):
    run = mistaken()
    segmind.configure(record_lag_seconds=3600)
    with pytest.raises(SubmitOutcomeUnknown, match="1 row of the history does not say yet") as caught:
        run.try_once()
    assert caught.value.retryable
    segmind.configure(record_lag_seconds=0)
    assert [run.try_once()["request_id"]] == ids(segmind)[1:]


def test_a_person_who_has_another_one_bought_gets_it_whatever_the_history_tells(segmind, mistaken):
    run = mistaken(on_clear="regenerate")
    segmind.configure(record_lag_seconds=3600)
    run.clear()
    assert [run.try_once()["request_id"]] == ids(segmind)[2:]


def test_if_there_is_no_other_one_it_was_the_request_itself_that_failed(segmind):
    segmind.add_faults("submit:after:reset", FaultRule("status", "before", "422", body=FAILED))
    run = video(seed=7)
    with pytest.raises(RequestFailed):
        run.try_once()
    assert len(ids(segmind)) == 1
    result = run.try_once()
    assert [result["request_id"]] == ids(segmind)[1:]


def test_without_a_seed_nobody_elses_is_taken_in_its_place(segmind):
    segmind.configure(inference_seconds=1)
    segmind.add_faults("submit:after:reset", FaultRule("status", "before", "422", body=FAILED))
    run = clip()
    with pytest.raises(RequestFailed, match="A retry submits a new request"):
        run.try_once()
    clip(wait_for_completion=False).try_once()
    result = run.try_once()
    assert [result["request_id"]] == ids(segmind)[2:]
