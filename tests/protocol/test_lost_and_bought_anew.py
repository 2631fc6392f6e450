"""``on_orphaned_intent="resubmit"``: what was given up, and what was bought in its place, are kept apart."""

from __future__ import annotations

import asyncio

import pytest
from airflow.sdk.exceptions import AirflowFailException
from videos import clip, ids, video

from airflow_ltx.emulator import FaultRule
from airflow_ltx.exceptions import RequestFailed, SubmitOutcomeUnknown

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")

NEVER = 1000
NEVER_SENT = FaultRule("submit", "before", "reset", skip=1)


def once_bought_anew(run, do):
    """Answers deferrals as a triggerer does; ``do`` happens once another submit was sent in place of a lost
    one."""
    first = None

    def answer(deferral):
        nonlocal first
        intent_at = run.purchases[-1]["intent_at"]
        first = intent_at if first is None else first
        if intent_at != first:
            do()
        return {"event": asyncio.run(run.fire(deferral))}

    return answer


@pytest.fixture
def lost(segmind):
    """A task whose first submit was lost and given up."""

    def begin(then, **arguments):
        segmind.configure(history_lag_seconds=NEVER)
        segmind.add_faults("submit:after:reset", then)
        return video(timeout=1, on_orphaned_intent="resubmit", **arguments)

    return begin


def test_what_is_bought_anew_has_a_seed_of_its_own(segmind):
    segmind.configure(history_lag_seconds=NEVER)
    segmind.add_faults("submit:after:reset")
    result = video(timeout=0.5, deferrable=False, on_orphaned_intent="resubmit").try_once()
    first, second = (entry.body["seed"] for entry in segmind.ledger.submissions)
    assert first != second == result["seed"]


@pytest.mark.parametrize("said", ["The GPU went away", "Content was flagged by moderation"])
def test_it_is_not_taken_for_the_lost_one_that_arrived_after_all(segmind, lost, said):
    run = lost("submit:after:reset")

    def show_the_first():
        failed = {"status": "FAILED", "error": said}
        segmind.add_faults(FaultRule("status", "before", "422", body=failed, match=ids(segmind)[0]))
        # Its row is there, and that of the second is not.
        segmind.configure(history_lag_seconds=0.8)

    result = run.try_with(once_bought_anew(run, show_the_first))
    assert [result["request_id"]] == ids(segmind)[1:]


def test_before_yet_another_one_is_bought_the_first_is_looked_for_once_more(segmind, lost, told):
    run = lost(NEVER_SENT)
    result = run.try_with(once_bought_anew(run, lambda: segmind.configure(history_lag_seconds=0)))
    assert ids(segmind) == [result["request_id"]]
    assert segmind.ledger.of(result["request_id"]).body["seed"] == result["seed"]
    assert "another one is bought, unless an earlier one that was lost has turned up" in told()
    (kept,) = run.purchases
    assert [intent["phase"] for intent in kept["lost"]] == ["intent"]
    assert kept["seed"] not in [intent["seed"] for intent in kept["lost"]]


def test_nor_is_one_bought_in_place_of_a_failed_one_if_the_first_has_turned_up(segmind, lost):
    run = lost("submit:after:fail:The GPU went away")
    with pytest.raises(RequestFailed, match="A retry looks once more for what was lost before"):
        run.try_once()
    segmind.configure(history_lag_seconds=0)
    segmind.add_faults("history:before:403*inf")
    with pytest.raises(SubmitOutcomeUnknown, match="nothing more was bought in its place") as caught:
        run.try_once()
    assert caught.value.retryable
    segmind.set_faults()
    result = run.try_once()
    assert [result["request_id"], ids(segmind)[1]] == ids(segmind)
    assert result["reused"]
    assert run.purchases[-1]["others"] == ids(segmind)[1:]


def test_and_if_it_has_not_the_failed_one_is_bought_once_more_with_its_seed(segmind, lost):
    run = lost("submit:after:fail:The GPU went away")
    with pytest.raises(RequestFailed):
        run.try_once()
    result = run.try_once()
    _, failed, bought = (entry.body["seed"] for entry in segmind.ledger.submissions)
    assert [result["request_id"]] == ids(segmind)[2:]
    assert failed == bought == result["seed"]


def test_a_person_who_has_another_one_bought_asks_for_none_of_them(segmind, lost):
    run = lost("submit:after:fail:Content was flagged by moderation", on_clear="regenerate")
    with pytest.raises(AirflowFailException):
        run.try_once()
    segmind.configure(history_lag_seconds=0)
    run.clear()
    result = run.try_once()
    assert [result["request_id"]] == ids(segmind)[2:]
    assert run.purchases[-1]["lost"] == []


def test_without_a_seed_the_one_that_is_found_is_taken(segmind):
    segmind.configure(history_lag_seconds=NEVER)
    segmind.add_faults("submit:after:reset", NEVER_SENT)
    run = clip(timeout=0.5, on_orphaned_intent="resubmit")
    result = run.try_with(once_bought_anew(run, lambda: segmind.configure(history_lag_seconds=0)))
    assert ids(segmind) == [result["request_id"]]
