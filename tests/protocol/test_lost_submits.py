"""A submit whose answer was lost: found in the account's history, or not bought again."""

from __future__ import annotations

import asyncio
import itertools
import json
import time

import pytest
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout
from videos import PROMPT, Killed, changing, clip, video, videos

from airflow_ltx.emulator import FaultRule
from airflow_ltx.exceptions import SubmitOutcomeUnknown
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.segmind.protocol import ApiResponse, read_submit
from runner import TaskState

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")

LOST = ["submit:after:reset", "submit:after:500", "submit:after:empty", "submit:after:truncate:10"]


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("fault", LOST)
def test_the_request_is_found_in_the_same_try(segmind, told, fault, deferrable):
    segmind.add_faults(fault)
    run = video(deferrable=deferrable)
    result = run.try_once()
    assert [entry.request_id for entry in segmind.ledger.submissions] == [result["request_id"]]
    assert (result["status"], result["reused"]) == ("COMPLETED", False)
    assert run.ti.xcom["request_id"] == result["request_id"]
    assert "Looking for it in the account's history" in told()
    assert f"Found request {result['request_id']} in the account's history" in told()


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_history_that_lags_is_waited_for(segmind, told, deferrable):
    segmind.configure(history_lag_seconds=1.0)
    segmind.add_faults("submit:after:reset", "history:before:503*2", "history:before:garbage")
    result = video(deferrable=deferrable).try_once()
    assert [entry.request_id for entry in segmind.ledger.submissions] == [result["request_id"]]
    assert "Not found yet" in told()


def test_one_of_many_requests_is_found_by_its_seed(segmind):
    for _ in range(30):
        SegmindHook().submit("ltx-video", {**BODY, "seed": 1})
    segmind.add_faults("submit:after:reset")
    result = video(prompt=BODY["prompt"]).try_once()
    assert segmind.ledger.of(result["request_id"]).body["seed"] == result["seed"] != 1


BODY = {"prompt": "a lighthouse"}


@pytest.mark.parametrize("state", [True, False])
def test_without_any_record_it_is_final_and_with_one_it_is_not(segmind, tmp_path, state):
    segmind.add_faults("submit:after:reset")
    if state:
        video(state=False, destination=f"file://{tmp_path}/").try_once()
    else:
        with pytest.raises(AirflowFailException, match="may exist and be billed"):
            video(state=False).try_once()
    assert len(segmind.ledger.submissions) == 1


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_history_that_cannot_be_read_is_never_an_absence(segmind, told, deferrable):
    run = video(timeout=0.5, deferrable=deferrable, on_orphaned_intent="resubmit")
    segmind.add_faults("submit:after:reset", "history:before:503*inf")
    for _ in range(2):
        with pytest.raises(SubmitOutcomeUnknown, match="history could not be read") as caught:
            run.try_once()
        assert caught.value.retryable
        assert "A retry looks again and buys another one only once the history is read" in str(caught.value)
    segmind.set_faults()
    result = run.try_once()
    assert [entry.request_id for entry in segmind.ledger.submissions] == [result["request_id"]]
    assert result["reused"] is True


@pytest.mark.parametrize("deferrable", [True, False])
def test_what_never_arrived_fails_by_default_and_names_the_ways_out(segmind, deferrable):
    segmind.add_faults("submit:before:reset")
    run = video(timeout=0.5, deferrable=deferrable)
    for _ in range(2):
        with pytest.raises(SubmitOutcomeUnknown, match="no request with the same body") as caught:
            run.try_once()
        assert caught.value.retryable
    for way in ("on_orphaned_intent='resubmit'", "on_clear='regenerate'", "_segmind/", "Segmind console"):
        assert way in str(caught.value)
    assert segmind.ledger.submissions == []


@pytest.mark.parametrize("deferrable", [True, False])
def test_what_never_arrived_is_bought_anew_where_the_author_says_so(segmind, told, deferrable):
    segmind.add_faults("submit:before:reset")
    result = video(timeout=0.5, deferrable=deferrable, on_orphaned_intent="resubmit").try_once()
    assert [entry.request_id for entry in segmind.ledger.submissions] == [result["request_id"]]
    assert "on_orphaned_intent is 'resubmit': another one is bought" in told()


def test_a_cleared_task_may_give_the_lost_one_up(segmind):
    segmind.add_faults("submit:before:reset")
    run = video(timeout=0.3, on_clear="regenerate")
    with pytest.raises(SubmitOutcomeUnknown):
        run.try_once()
    run.clear()
    run.try_once()
    assert len(segmind.ledger.submissions) == 1


def test_without_a_seed_one_request_of_that_body_is_it(segmind):
    segmind.add_faults("submit:after:reset")
    result = clip().try_once()
    assert [entry.request_id for entry in segmind.ledger.submissions] == [result["request_id"]]


def test_without_a_seed_two_requests_of_that_body_are_nobodys(segmind):
    SegmindHook().submit(
        "wan-2.2-t2v-fast", {"num_frames": 81, "prompt": clip().build().parameters["prompt"]}
    )
    segmind.set_faults("submit:after:reset")
    run = clip(timeout=0.5, on_orphaned_intent="resubmit")
    with pytest.raises(SubmitOutcomeUnknown, match="2 requests with the same body") as caught:
        run.try_once()
    assert segmind.ledger.submissions[0].request_id in str(caught.value)
    assert len(segmind.ledger.submissions) == 2


def test_with_a_seed_two_requests_of_that_body_are_the_same_video_and_both_are_named(segmind, told):
    other = SegmindHook().submit("ltx-video", {"prompt": "a lighthouse", "seed": 7})
    segmind.add_faults("submit:after:reset")
    result = video(prompt="a lighthouse", seed=7).try_once()
    assert result["status"] == "COMPLETED"
    said = told()
    assert "with the same seed they are the same video: the nearest in time is taken" in said
    assert all(entry.request_id in said for entry in segmind.ledger.submissions)
    assert other.request_id in said


def test_an_earlier_request_of_the_same_task_is_not_taken_for_the_lost_one(segmind):
    run = video(seed=7, on_clear="regenerate")
    first = run.try_once()
    run.clear()
    segmind.configure(history_lag_seconds=1)
    segmind.add_faults("submit:after:reset")
    second = run.try_once()
    assert second["request_id"] != first["request_id"]
    assert len(segmind.ledger.submissions) == 2


def test_a_seed_may_be_drawn_for_any_model_that_takes_one(segmind):
    result = clip(draw_seed=True).try_once()
    assert segmind.ledger.submissions[0].body["seed"] == result["seed"] >= 0


@pytest.mark.parametrize(
    "end", [KeyboardInterrupt, SystemExit, MemoryError, RuntimeError, AirflowTaskTimeout]
)
@pytest.mark.parametrize("state", [True, False])
def test_whatever_ends_a_submit_under_way_no_retry_buys_again(segmind, monkeypatch, told, end, state):
    submit = SegmindHook.submit

    def interrupted(self, *args, **options):
        submit(self, *args, **options)
        raise end

    run = video(state=state)
    with monkeypatch.context() as patch:
        patch.setattr(SegmindHook, "submit", interrupted)
        if not state:
            with pytest.raises(AirflowFailException, match="ended the task while its submit"):
                run.try_once()
        else:
            with pytest.raises(end):
                run.try_once()
            assert "A retry looks for it in the account's history" in told()
            result = run.try_once()
            assert result["reused"] is True
    assert len(segmind.ledger.submissions) == 1


def test_a_worker_that_dies_between_the_purchase_and_its_record_is_followed_by_one_that_finds_it(
    segmind, monkeypatch
):
    write, good = TaskState.set, iter([True])

    def dies(self, key, value, **options):
        if not next(good, False):
            raise Killed
        write(self, key, value, **options)

    run = video()
    with monkeypatch.context() as patch:
        patch.setattr(TaskState, "set", dies)
        with pytest.raises(Killed):
            run.try_once()
    result = run.try_once()
    assert [entry.request_id for entry in segmind.ledger.submissions] == [result["request_id"]]


@pytest.mark.parametrize("reason", [r.value for r in TriggerFailureReason])
def test_a_triggerer_that_does_not_answer_is_followed_by_a_look_of_the_worker(segmind, later, reason):
    segmind.configure(history_lag_seconds=30)
    segmind.add_faults("submit:after:reset")
    run = video()

    def given_up(deferral):
        later(40)
        return reason

    result = run.try_with(given_up)
    assert [entry.request_id for entry in segmind.ledger.submissions] == [result["request_id"]]


def test_a_broken_triggerer_is_no_reason_to_buy_again(segmind):
    segmind.add_faults("submit:before:reset")
    run = video(on_orphaned_intent="resubmit", timeout=600)
    with pytest.raises(SubmitOutcomeUnknown):
        run.try_without_answer(TriggerFailureReason.TRIGGER_FAILURE.value)
    assert segmind.ledger.submissions == []


def test_a_template_that_says_something_else_on_each_leg_does_not_lose_the_request(segmind):
    segmind.configure(history_lag_seconds=0.5)
    segmind.add_faults("submit:after:reset")
    run = videos([f"a lighthouse {number}" for number in range(6)])
    result = run.try_once()
    assert run.deferred[0].method_name == "execute_recovered"
    assert [entry.request_id for entry in segmind.ledger.submissions] == [result["request_id"]]


def test_without_a_seed_a_row_that_comes_sooner_is_not_taken_for_ones_own(segmind, monkeypatch):
    monkeypatch.setattr("airflow_ltx.durability.recovery._SETTLING", 4.0)
    segmind.configure(history_lag_seconds=1.5)
    sibling = SegmindHook().submit("wan-2.2-t2v-fast", {"prompt": PROMPT, "num_frames": 81}).request_id
    time.sleep(1.8)
    segmind.add_faults("submit:after:reset")
    with pytest.raises(SubmitOutcomeUnknown, match="without a seed nobody can tell whose they are"):
        clip(timeout=6).try_once()
    assert segmind.ledger.submissions[0].request_id == sibling


@pytest.fixture
def broken_answer(segmind, monkeypatch):
    """The first submit is answered with a 500 that names an id: the request's, or another one."""
    submit = SegmindHook.submit
    named = []

    def begin(request_id: str | None = None) -> list[str]:
        def answered_by_half(self, model, parameters, **options):
            bought = submit(self, model, parameters, **options)
            if named:
                return bought
            named.append(request_id or bought.request_id)
            body = {"request_id": named[0], "error": "upstream"}
            return read_submit(ApiResponse(500, {}, json.dumps(body).encode()), model, sent_at=0.0)

        monkeypatch.setattr(SegmindHook, "submit", answered_by_half)
        return named

    segmind.configure(history_lag_seconds=1000.0)
    return begin


@pytest.mark.parametrize("state", [True, False])
@pytest.mark.parametrize("policy", ["fail", "resubmit"])
def test_an_id_that_is_in_a_broken_answer_is_taken_up(segmind, told, broken_answer, policy, state):
    named = broken_answer()
    run = clip(state=state, timeout=5, on_orphaned_intent=policy)
    result = run.try_once()
    assert named == [result["request_id"]] == [entry.request_id for entry in segmind.ledger.submissions]
    assert run.ti.xcom["request_id"] == named[0]
    assert f"It names request {named[0]}, and the service knows it: it is bought." in told()


def test_an_id_that_could_not_be_asked_for_is_asked_for_again(segmind, told, monkeypatch, broken_answer):
    monkeypatch.setattr("airflow_ltx.operators._named._LOOKED_FOR", 0.1)
    segmind.add_faults("status:before:503*inf")
    named = broken_answer()
    run = video(timeout=0.5, on_orphaned_intent="resubmit")
    with pytest.raises(SubmitOutcomeUnknown, match="the id that the answer named") as caught:
        run.try_once()
    assert f"which names request {named[0]}" in caught.value.message
    assert run.purchases[-1]["named"] == named[0]
    segmind.set_faults()
    assert run.try_once()["request_id"] == named[0]
    assert f"Found request {named[0]} by the id that its answer named" in told()
    assert len(segmind.ledger.submissions) == 1


def test_an_id_in_a_broken_answer_that_the_service_does_not_know_is_no_request(segmind, broken_answer):
    broken_answer("a-gateways-own-id")
    segmind.configure(history_lag_seconds=0.0)
    result = video().try_once()
    assert [entry.request_id for entry in segmind.ledger.submissions] == [result["request_id"]]


def test_what_was_found_is_taken_up_though_its_record_is_gone(segmind, tmp_path):
    folders = (f"file://{tmp_path}/{number}/" for number in itertools.count())
    segmind.configure(history_lag_seconds=1.0)
    segmind.add_faults("submit:after:reset")
    result = changing(lambda: {"destination": next(folders)}, state=False).try_once()
    assert [entry.request_id for entry in segmind.ledger.submissions] == [result["request_id"]]


def test_nothing_is_bought_if_the_record_is_gone_and_nothing_was_found(segmind, tmp_path):
    folders = (f"file://{tmp_path}/{number}/" for number in itertools.count())
    segmind.configure(history_lag_seconds=1000.0)
    segmind.add_faults("submit:after:reset")
    run = changing(lambda: {"destination": next(folders), "timeout": 0.5}, state=False)
    with pytest.raises(AirflowFailException, match=r"is gone.*clear the task: it buys then") as caught:
        run.try_once()
    assert isinstance(caught.value.__cause__, SubmitOutcomeUnknown)
    assert len(segmind.ledger.submissions) == 1


def test_a_template_that_comes_back_to_what_was_landed_does_not_have_it_bought_again(segmind, tmp_path):
    how = {"prompt": "a lighthouse", "destination": f"file://{tmp_path}/"}
    run = changing(lambda: {"timeout": 1, "on_orphaned_intent": "resubmit", **how})
    first = run.try_once()
    how["prompt"] = "a harbour"
    segmind.add_faults("submit:before:reset")

    def changed_meanwhile(deferral):
        how["prompt"] = "a lighthouse"
        return {"event": asyncio.run(run.fire(deferral))}

    result = run.try_with(changed_meanwhile)
    assert (result["request_id"], result["reused"]) == (first["request_id"], True)
    assert len(segmind.ledger.submissions) == 1


def test_a_refusal_leaves_nothing_to_look_for(segmind):
    segmind.add_faults(FaultRule("submit", "before", "402"))
    run = video()
    with pytest.raises(AirflowFailException, match="Nothing was billed"):
        run.try_once()
    assert run.try_once()["reused"] is False
    assert segmind.ledger.lookups == {}
