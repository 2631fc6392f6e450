"""What a try does, given what earlier ones left on record."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.durability.decide import Step, decide
from airflow_ltx.durability.policies import Policies
from airflow_ltx.durability.record import Phase, Purchase, Record

WANTED = "wanted"
PURCHASE = Purchase(
    Phase.SUBMITTED,
    WANTED,
    "ltx-video",
    1_800_000_000.0,
    {"prompt": "mark"},
    seed=7,
    request_id="the-id",
    submitted_at=1_800_000_001.0,
    try_number=1,
)
INTENT = replace(PURCHASE, phase=Phase.INTENT, request_id=None, submitted_at=None)


def purchase(phase: Phase, fingerprint: str = WANTED) -> Purchase:
    return replace(INTENT if phase is Phase.INTENT else PURCHASE, phase=phase, fingerprint=fingerprint)


def of(*purchases: Purchase) -> Record:
    return Record(purchases, max_tries=3, revision=5)


SAME, CLEARED = 3, 7
REUSE, REGENERATE = Policies(), Policies(on_clear="regenerate")
STALE_FAILS = Policies(on_stale_state="fail")


@pytest.mark.parametrize(
    ("phase", "wanted", "max_tries", "policies", "step"),
    [
        (Phase.INTENT, WANTED, SAME, REUSE, Step.RECOVER),
        (Phase.INTENT, WANTED, CLEARED, REUSE, Step.RECOVER),
        (Phase.INTENT, WANTED, SAME, REGENERATE, Step.RECOVER),
        (Phase.INTENT, WANTED, CLEARED, REGENERATE, Step.SUBMIT),
        (Phase.INTENT, "other", SAME, REUSE, Step.SUBMIT),
        (Phase.INTENT, "other", SAME, STALE_FAILS, Step.FAIL),
        (Phase.SUBMITTED, WANTED, SAME, REUSE, Step.REATTACH),
        (Phase.SUBMITTED, WANTED, CLEARED, REUSE, Step.REATTACH),
        (Phase.SUBMITTED, WANTED, SAME, REGENERATE, Step.REATTACH),
        (Phase.SUBMITTED, WANTED, CLEARED, REGENERATE, Step.SUBMIT),
        (Phase.SUBMITTED, "other", SAME, REUSE, Step.SUBMIT),
        (Phase.SUBMITTED, "other", CLEARED, STALE_FAILS, Step.FAIL),
        (Phase.FAILED, WANTED, SAME, REUSE, Step.SUBMIT),
        (Phase.FAILED, "other", SAME, STALE_FAILS, Step.SUBMIT),
        (Phase.LANDED, WANTED, SAME, REUSE, Step.REATTACH),
        (Phase.LANDED, WANTED, CLEARED, REUSE, Step.REATTACH),
        (Phase.LANDED, WANTED, SAME, REGENERATE, Step.REATTACH),
        (Phase.LANDED, WANTED, CLEARED, REGENERATE, Step.SUBMIT),
        (Phase.LANDED, "other", SAME, STALE_FAILS, Step.FAIL),
        (Phase.LANDED, "other", CLEARED, STALE_FAILS, Step.SUBMIT),
        (Phase.LOST, WANTED, SAME, REUSE, Step.FAIL),
        (Phase.LOST, WANTED, CLEARED, REUSE, Step.LOOK_AGAIN),
        (Phase.LOST, WANTED, SAME, REGENERATE, Step.FAIL),
        (Phase.LOST, WANTED, CLEARED, REGENERATE, Step.SUBMIT),
    ],
)
def test_every_state_has_its_course(phase, wanted, max_tries, policies, step):
    decision = decide(of(purchase(phase)), wanted, max_tries, policies)
    assert decision.step is step
    assert decision.reason


def test_what_was_lost_is_bought_again_only_by_a_person_and_after_another_look_at_it():
    lost = of(purchase(Phase.LOST))
    gone = decide(lost, WANTED, CLEARED, REUSE, still_gone="it is not in the history.")
    assert gone.step is Step.SUBMIT
    assert gone.abandoned == lost.purchases
    assert "it is not in the history" in gone.reason
    assert decide(lost, WANTED, SAME, REUSE, still_gone="no").step is Step.FAIL


def test_what_was_lost_is_called_billed_only_where_its_cost_is_known():
    lost = purchase(Phase.LOST)
    assert "the-id, which was billed if it completed, nothing" in decide(of(lost), WANTED, SAME, REUSE).reason
    costly = replace(lost, cost=0.02)
    assert "the-id, which was billed, nothing" in decide(of(costly), WANTED, SAME, REUSE).reason


def test_what_failed_at_a_cost_needs_no_other_look():
    failed = replace(purchase(Phase.LOST), cost=0.02)
    decision = decide(of(failed), WANTED, CLEARED, REUSE)
    assert (decision.step, decision.abandoned) == (Step.SUBMIT, (failed,))


@pytest.mark.parametrize("phase", [Phase.LANDED, Phase.SUBMITTED, Phase.LOST])
@pytest.mark.parametrize(
    ("max_tries", "policies", "step"),
    [
        (SAME, REUSE, Step.REUSE),
        (CLEARED, REUSE, Step.REUSE),
        (SAME, REGENERATE, Step.REUSE),
        (CLEARED, REGENERATE, Step.SUBMIT),
    ],
)
def test_what_is_where_it_was_put_is_returned_whatever_came_later(phase, max_tries, policies, step):
    decision = decide(of(purchase(phase)), WANTED, max_tries, policies, is_there=True)
    assert decision.step is step


def test_without_a_record_it_buys():
    assert decide(Record(), WANTED, SAME, REUSE).step is Step.SUBMIT


purchases = st.sampled_from(Phase).map(purchase)
policies = st.builds(
    Policies,
    on_orphaned_intent=st.sampled_from(["fail", "resubmit"]),
    on_clear=st.sampled_from(["reuse", "regenerate"]),
    on_stale_state=st.sampled_from(["resubmit", "fail"]),
)
others = st.lists(st.builds(purchase, st.sampled_from(Phase), st.sampled_from(["a", "b"])), max_size=2)


@given(others, purchases, others, st.booleans(), policies)
def test_nothing_outstanding_is_bought_again_unless_a_person_asked_for_it(before, mine, after, cleared, wish):
    record = of(*before, mine, *after)
    decision = decide(record, WANTED, CLEARED if cleared else SAME, wish)
    if decision.step is Step.SUBMIT and mine.outstanding:
        assert cleared
        assert wish.on_clear == "regenerate"
        assert mine in decision.abandoned


@given(others, purchases, others, st.booleans(), policies)
def test_what_is_left_behind_is_named(before, mine, after, cleared, wish):
    record = of(*before, mine, *after)
    decision = decide(record, WANTED, CLEARED if cleared else SAME, wish)
    current = record.current
    paid = current.phase is not Phase.FAILED
    if decision.step is not Step.FAIL and paid and current.fingerprint != WANTED:
        assert current in decision.abandoned
    if decision.step is Step.SUBMIT:
        assert [p for p in decision.abandoned if p.fingerprint == WANTED] == [
            p for p in (record.of(WANTED),) if p.phase is not Phase.FAILED
        ]


@given(purchases, policies)
def test_the_seed_of_the_same_parameters_is_kept(mine, wish):
    decision = decide(of(mine), WANTED, SAME, wish)
    assert decision.purchase == mine
    other = decide(of(mine), "other", SAME, wish)
    assert other.purchase is None


def test_parameters_that_come_back_are_taken_up_where_they_were_left():
    record = of(purchase(Phase.SUBMITTED), purchase(Phase.SUBMITTED, "other"))
    decision = decide(record, WANTED, SAME, REUSE)
    assert (decision.step, decision.purchase) == (Step.REATTACH, record.purchases[0])
    assert decision.abandoned == (record.purchases[1],)
    assert decide(record, WANTED, SAME, STALE_FAILS).step is Step.FAIL
