"""What is bought in place of something, or of other parameters: it may come to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException
from videos import PROMPT, Killed, changing, ids, killed, video

from airflow_ltx.exceptions import RequestFailed, SegmindError, SubmitOutcomeUnknown, WaitTimeout
from airflow_ltx.hooks.segmind import SegmindHook

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")


def test_a_refused_regeneration_leaves_what_it_was_to_replace(segmind, tmp_path):
    how = {"on_clear": "regenerate"}
    run = changing(lambda: {"destination": f"file://{tmp_path}/", **how})
    first = run.try_once()
    run.clear()
    segmind.add_faults("submit:before:402*2")
    for _ in range(2):
        with pytest.raises(AirflowFailException, match="Nothing was billed"):
            run.try_once()
    how["on_clear"] = "reuse"
    run.clear()
    assert run.try_once()["request_id"] == first["request_id"]
    assert len(segmind.ledger.submissions) == 1


@pytest.fixture
def regenerated(segmind, tmp_path):
    """Clears a task that has its video, to have another one; tells its arguments and what it has."""

    def clear(**arguments):
        how = {"destination": f"file://{tmp_path}/", "on_clear": "regenerate", "timeout": 0.5, **arguments}
        run = changing(lambda: how)
        first = run.try_once()
        run.clear()
        return run, how, first

    return clear


def dies_before_the_submit(run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(SegmindHook, "submit", lambda *args, **options: killed(None))
        with pytest.raises(Killed):
            run.try_once()


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_regeneration_that_never_was_leaves_the_video_that_there_is(
    segmind, regenerated, monkeypatch, told, deferrable
):
    run, how, first = regenerated(deferrable=deferrable)
    dies_before_the_submit(run, monkeypatch)
    with pytest.raises(SubmitOutcomeUnknown, match="nothing was bought in its place"):
        run.try_once()
    how["on_clear"] = "reuse"
    for _ in range(2):
        run.clear()
        assert run.try_once() == {**first, "reused": True}
        assert run.ti.xcom["request_id"] == first["request_id"]
    assert ids(segmind) == [first["request_id"]]
    assert f"reused the result of request {first['request_id']}" in told()


def test_a_regeneration_that_was_bought_after_all_is_found_before_the_video_that_there_is(
    segmind, regenerated
):
    run, how, _ = regenerated()
    segmind.add_faults("submit:after:reset")
    segmind.configure(history_lag_seconds=1000)
    with pytest.raises(SubmitOutcomeUnknown):
        run.try_once()
    how["on_clear"] = "reuse"
    segmind.configure(history_lag_seconds=0)
    run.clear()
    assert run.try_once()["request_id"] == ids(segmind)[1]
    assert len(ids(segmind)) == 2


def test_a_regeneration_that_failed_leaves_the_video_that_there_is(segmind, regenerated):
    run, how, first = regenerated()
    segmind.add_faults("submit:after:fail")
    with pytest.raises(RequestFailed):
        run.try_once()
    how["on_clear"] = "reuse"
    run.clear()
    assert run.try_once() == {**first, "reused": True}
    assert len(ids(segmind)) == 2


def test_a_retry_of_a_regeneration_that_failed_regenerates(segmind, regenerated):
    run, _, _ = regenerated()
    segmind.add_faults("submit:after:fail")
    with pytest.raises(RequestFailed):
        run.try_once()
    assert run.try_once()["request_id"] == ids(segmind)[2]
    (purchase,) = run.purchases
    assert purchase["instead_of"] is None


def test_what_was_to_be_replaced_and_is_not_there_any_more_is_not_returned(segmind, regenerated, monkeypatch):
    run, how, first = regenerated()
    dies_before_the_submit(run, monkeypatch)
    Path(first["uri"].removeprefix("file://")).unlink()
    how["on_clear"] = "reuse"
    run.clear()
    with pytest.raises(SubmitOutcomeUnknown, match="nothing was bought in its place"):
        run.try_once()


def test_a_retry_of_a_refused_regeneration_regenerates(segmind, tmp_path):
    run = video(destination=f"file://{tmp_path}/", on_clear="regenerate")
    run.try_once()
    run.clear()
    segmind.add_faults("submit:before:402")
    with pytest.raises(AirflowFailException):
        run.try_once()
    assert run.try_once()["request_id"] == ids(segmind)[1]


def test_a_refused_purchase_of_other_parameters_does_not_hide_what_is_under_way(segmind, later):
    """Whatever stands in the way of a later try: it must be retried, since something is paid for."""
    segmind.configure(inference_seconds=10)
    how = {"prompt": f"{PROMPT} one"}
    run = changing(lambda: {"timeout": 0.2, "deferrable": False, **how})
    with pytest.raises(WaitTimeout):
        run.try_once()
    how["prompt"] = f"{PROMPT} two"
    segmind.add_faults("submit:before:402")
    with pytest.raises(AirflowFailException, match="Nothing was billed"):
        run.try_once()
    how |= {"prompt": f"{PROMPT} one", "on_clear": "{{ 'forget' }}"}
    with pytest.raises(SegmindError, match="on_clear") as caught:
        run.try_once()
    assert f"Request {ids(segmind)[0]}, bought by an earlier try, goes on" in str(caught.value)
    del how["on_clear"]
    later(30)
    assert run.try_once()["request_id"] == ids(segmind)[0]
    assert len(ids(segmind)) == 1


def test_a_retry_of_a_refused_purchase_is_as_free_as_the_one_that_was_refused(segmind):
    """A person who cleared a green task may change its parameters, whatever on_stale_state says."""
    how = {"prompt": f"{PROMPT} one"}
    run = changing(lambda: {"on_stale_state": "fail", **how})
    run.try_once()
    run.clear()
    how["prompt"] = f"{PROMPT} two"
    segmind.add_faults("submit:before:402")
    with pytest.raises(AirflowFailException, match="Nothing was billed"):
        run.try_once()
    assert run.try_once()["request_id"] == ids(segmind)[1]
