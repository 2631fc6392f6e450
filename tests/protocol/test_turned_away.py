"""A submit that the rate limit refuses: bought once, later, and no worker waits for it."""

from __future__ import annotations

import asyncio
import time

import pytest
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import TaskDeferred

from airflow_ltx.emulator import FaultRule
from airflow_ltx.exceptions import RateLimited
from airflow_ltx.hooks import _clients
from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.triggers.turn import SegmindTurnTrigger
from runner import TaskRun

pytestmark = pytest.mark.usefixtures("no_hold")

PROMPT = (
    "A lighthouse on a cliff at dusk, waves far below, slow aerial shot towards the lantern as it lights up"
)
USUAL = {"task_id": "t", "prompt": PROMPT, "poll_interval": 0.05, "timeout": 60}


@pytest.fixture(autouse=True)
def no_memory(monkeypatch):
    """What another test's refusals have taught this process."""
    monkeypatch.setattr(_clients, "_accounts", {})
    monkeypatch.setattr(_clients, "_clients", {})


def video(**arguments) -> TaskRun:
    return TaskRun(lambda: LTXSubmitOperator(**{**USUAL, **arguments}))


def refuse(segmind, seconds: float, times: int | None = 1) -> None:
    segmind.add_faults(FaultRule("submit", "before", f"429:{seconds:g}", times))


def bought(segmind) -> list[str]:
    return [one.request_id for one in segmind.ledger.submissions if one.accepted]


def test_a_far_reset_is_waited_for_in_the_triggerer(segmind, told):
    refuse(segmind, 7)
    run = video()
    began = time.time()

    def answer(deferral: TaskDeferred):
        # The first leg is over at once, and nothing is bought.
        assert deferral.method_name != "execute_in_turn" or time.time() - began < 4
        return {"event": asyncio.run(run.fire(deferral))}

    result = run.try_with(answer)
    turn, wait = run.deferred
    assert isinstance(turn.trigger, SegmindTurnTrigger)
    assert wait.method_name == "execute_complete"
    assert time.time() - began >= 7
    assert bought(segmind) == [result["request_id"]]
    assert "nothing was bought. It is sent in" in told()


def test_a_near_reset_is_waited_for_where_the_task_is(segmind):
    refuse(segmind, 1)
    run = video()
    assert run.try_once()["request_id"]
    assert [deferral.method_name for deferral in run.deferred] == ["execute_complete"]


def test_a_task_that_may_not_defer_waits_for_the_reset(segmind):
    refuse(segmind, 6)
    run = video(deferrable=False)
    began = time.time()
    assert run.try_once()["request_id"]
    assert time.time() - began >= 6
    assert not run.deferred


def test_a_limit_that_outlasts_the_timeout_fails_the_try_and_names_no_purchase(segmind):
    refuse(segmind, 30, None)
    run = video(timeout=20)
    with pytest.raises(RateLimited, match="A retry begins anew") as caught:
        run.try_once()
    assert "timeout is 20 s" in caught.value.message
    assert bought(segmind) == []


def test_the_time_counts_from_the_first_refusal_however_often_the_task_comes_back(segmind):
    refuse(segmind, 6, None)
    run = video(timeout=15)
    began = time.time()
    with pytest.raises(RateLimited):
        run.try_once()
    assert 6 <= time.time() - began < 20
    assert len({deferral.kwargs["since"] for deferral in run.deferred}) == 1
    assert len(run.deferred) == 2


def test_a_retry_after_a_refusal_buys_one(segmind):
    refuse(segmind, 30)
    run = video(timeout=5)
    with pytest.raises(RateLimited):
        run.try_once()
    segmind.advance(60)
    _clients._accounts.clear()
    _clients._clients.clear()
    result = run.try_once()
    assert bought(segmind) == [result["request_id"]]


@pytest.mark.parametrize("reason", ["TRIGGER_FAILURE", "TRIGGER_TIMEOUT"])
@pytest.mark.parametrize("now_wanted", [{"prompt": f"{PROMPT}, in fog"}, {"on_clear": "regenerate"}])
def test_what_is_left_behind_is_not_taken_for_what_no_triggerer_waited_for(segmind, told, reason, now_wanted):
    how = {}
    run = TaskRun(lambda: LTXSubmitOperator(**{**USUAL, **how}))
    with pytest.raises(ZeroDivisionError):
        run.try_with(lambda deferral: 1 / 0)
    (earlier,) = bought(segmind)
    how |= now_wanted
    run.clear()
    refuse(segmind, 30)

    def answer(deferral: TaskDeferred):
        if deferral.method_name != "execute_in_turn":
            return {"event": asyncio.run(run.fire(deferral))}
        # The next leg is another process, and the limit's minute is over.
        _clients._accounts.clear()
        _clients._clients.clear()
        return TriggerFailureReason[reason].value

    result = run.try_with(answer)
    assert bought(segmind) == [earlier, result["request_id"]]
    assert result["reused"] is False
    assert "The turn of this task's submit was not waited for" in told()


def test_the_time_of_refusals_counts_on_where_a_lost_submit_was_given_up_before(segmind, later, monkeypatch):
    monkeypatch.setattr("airflow_ltx.operators._turned_away.PATIENCE", 0.0)
    segmind.add_faults("submit:before:reset")
    refuse(segmind, 30, None)
    run = TaskRun(lambda: LTXSubmitOperator(**{**USUAL, "on_orphaned_intent": "resubmit"}))

    def answer(deferral: TaskDeferred):
        if deferral.method_name == "execute_in_turn":
            later(40)
            return {"event": {"version": 1, "wait": deferral.trigger.wait}}
        later(61)
        return {"event": asyncio.run(run.fire(deferral))}

    with pytest.raises(RateLimited, match="timeout is 60 s"):
        run.try_with(answer)
    assert [deferral.method_name for deferral in run.deferred] == ["execute_recovered", "execute_in_turn"]


def test_turns_that_no_triggerer_can_wait_for_end_with_the_timeout(segmind, later):
    refuse(segmind, 100, None)
    run = video(timeout=600)

    def answer(deferral: TaskDeferred):
        later(250)
        return TriggerFailureReason.TRIGGER_TIMEOUT.value

    with pytest.raises(RateLimited, match="timeout is 600 s"):
        run.try_with(answer)
    assert len(run.deferred) == 2
    assert bought(segmind) == []


def test_a_turn_that_was_waited_for_in_an_earlier_try_is_not_the_next_ones(segmind):
    how = {}
    run = TaskRun(lambda: LTXSubmitOperator(**{**USUAL, **how}))

    def try_until_it_waits() -> None:
        with pytest.raises(ZeroDivisionError):
            run.try_with(lambda deferral: 1 / 0)

    segmind.configure(inference_seconds=100)
    try_until_it_waits()
    how["prompt"] = f"{PROMPT}, in fog"
    refuse(segmind, 30)
    try_until_it_waits()
    assert run.record["refused_since"] is not None
    del how["prompt"]
    try_until_it_waits()
    assert run.record["refused_since"] is None
    assert [deferral.method_name for deferral in run.deferred][1:] == ["execute_in_turn", "execute_complete"]


async def test_a_person_who_ends_the_task_before_its_turn_is_told_of_this_submit_alone(capsys):
    """An earlier one's answer may have been lost."""
    await SegmindTurnTrigger(opens_at=2.0, deadline=3.0).on_kill()
    told = capsys.readouterr().out
    assert "This submit was not sent." in told
    assert "bought" not in told


def test_the_trigger_survives_storing_and_ignores_what_it_does_not_know():
    trigger = SegmindTurnTrigger("a", opens_at=2.0, deadline=3.0, not_before=4.0)
    _, kwargs = trigger.serialize()
    assert SegmindTurnTrigger(**kwargs, newer="x").serialize() == trigger.serialize()
