"""Templates that say something else once the video is bought: what counts is what was sent."""

from __future__ import annotations

import asyncio

import pytest
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import AirflowFailException
from videos import PROMPT, changing, ids, video

from airflow_ltx.emulator import FaultRule
from airflow_ltx.exceptions import RequestFailed

pytestmark = pytest.mark.usefixtures("no_hold")


@pytest.mark.parametrize("state", [True, False])
@pytest.mark.parametrize(("first", "then"), [(7, 7), (7, 9), (7, None), (None, 9), (None, None)])
def test_the_seed_that_is_told_is_the_one_that_was_sent(segmind, later, state, first, then):
    how = {"seed": first}
    run = changing(lambda: how, state=state)

    def hour_passes(deferral):
        # A row of the history has no seed.
        later(4000)
        how["seed"] = then
        return {"event": asyncio.run(run.fire(deferral))}

    assert run.try_with(hour_passes)["seed"] == segmind.ledger.submissions[0].body["seed"]


@pytest.mark.parametrize(
    ("state", "then", "told_seed"), [(True, 7, 7), (True, 9, None), (True, None, None), (False, 7, None)]
)
def test_without_the_triggers_word_no_seed_is_told_that_may_be_another(
    segmind, later, state, then, told_seed
):
    how = {"seed": 7}
    run = changing(lambda: how, state=state)

    def hour_passes(deferral):
        later(4000)
        how["seed"] = then
        return TriggerFailureReason.TRIGGER_TIMEOUT.value

    assert run.try_with(hour_passes)["seed"] == told_seed


def test_a_seed_that_could_not_be_told_is_told_to_who_asks_for_it_again(segmind, later, tmp_path):
    how = {"seed": 7, "destination": f"file://{tmp_path}/"}
    run = changing(lambda: how)

    def hour_passes(deferral):
        later(4000)
        how["seed"] = None
        return TriggerFailureReason.TRIGGER_TIMEOUT.value

    first = run.try_with(hour_passes)
    assert first["seed"] is None
    how["seed"] = 7
    run.clear()
    assert run.try_once() == {**first, "seed": 7, "reused": True}
    assert len(ids(segmind)) == 1


def test_a_drawn_seed_outlives_a_record_that_somebody_deleted(segmind, later):
    run = video()

    def deleted(deferral):
        run.state.delete("airflow_ltx.request")
        return {"event": asyncio.run(run.fire(deferral))}

    run.try_with(deleted)
    (purchase,) = run.purchases
    assert purchase["seed"] == segmind.ledger.submissions[0].body["seed"]


def test_what_was_bought_is_not_taken_for_another_order_though_its_record_was_deleted(segmind):
    how = {"prompt": PROMPT}
    run = changing(lambda: how)

    def deleted(deferral):
        run.state.delete("airflow_ltx.request")
        how["prompt"] = f"{PROMPT}, at noon"
        return {"event": asyncio.run(run.fire(deferral))}

    run.try_with(deleted)
    run.clear()
    assert run.try_once()["request_id"] == ids(segmind)[1]
    how["prompt"] = PROMPT
    run.clear()
    assert run.try_once()["request_id"] == ids(segmind)[0]
    assert len(ids(segmind)) == 2


BILLED = {"status": "FAILED", "error": "out of memory", "metrics": {"cost": 0.05}}
REFUSED = {"status": "FAILED", "error": "Content was flagged by moderation"}


@pytest.mark.parametrize("told", [BILLED, REFUSED], ids=["billed", "refused"])
def test_what_failed_for_good_does_not_end_a_task_that_asks_for_what_it_has_by_now(segmind, told):
    how = {"prompt": PROMPT}
    run = changing(lambda: how)
    first = run.try_once()
    how["prompt"] = f"{PROMPT}, at noon"
    run.clear()

    def as_before(deferral):
        segmind.add_faults(FaultRule("status", "before", "422", None, body=told))
        how["prompt"] = PROMPT
        return {"event": asyncio.run(run.fire(deferral))}

    with pytest.raises(RequestFailed, match=f"a retry goes on with request {first['request_id']}") as caught:
        run.try_with(as_before)
    assert caught.value.retryable
    assert run.try_once() == {**first, "reused": True}
    assert len(ids(segmind)) == 2


def test_what_is_refused_for_good_ends_a_task_that_asks_for_what_nobody_has_bought(segmind):
    how = {"prompt": PROMPT}
    run = changing(lambda: how)
    segmind.add_faults("submit:after:fail:Content was flagged by moderation")

    def other(deferral):
        how["prompt"] = f"{PROMPT}, at noon"
        return {"event": asyncio.run(run.fire(deferral))}

    with pytest.raises(AirflowFailException, match="not retried"):
        run.try_with(other)
