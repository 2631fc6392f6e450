"""What the machine has found over time, played again: examples that are too rare to wait for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.stateful.test_paid_once_machine import PaidOnce, machine
from tests.virtual.directing import ANY_MODEL, LTX
from tests.virtual.orders import Order
from tests.virtual.stage import Stage
from tests.virtual.tasks import Accident, State

REGENERATE = {"on_orphaned_intent": "fail", "on_clear": "regenerate", "on_stale_state": "resubmit"}
RESUBMIT = {"on_orphaned_intent": "resubmit", "on_clear": "reuse", "on_stale_state": "resubmit"}


@contextmanager
def played(
    stage: Stage,
    model: str,
    *,
    deferrable: bool = False,
    retries: int = 0,
    policies: dict[str, str] = RESUBMIT,
) -> Iterator[PaidOnce]:
    """Ends well: task 0 gets its video, and the books agree."""
    paid_once = machine(stage, model)()
    paid_once.begin([Order(0)] * 4, "folder", True, deferrable, retries, dict(policies), 0)
    try:
        yield paid_once
        paid_once.holds()
        paid_once.come_to_an_end(0)
        paid_once.holds()
        assert paid_once.world.tasks[0].state is State.SUCCESS
    finally:
        paid_once.world.close()


def test_a_lost_one_that_fails_late_does_not_end_the_task_for_the_one_in_its_place(stage):
    with played(stage, LTX) as paid_once:
        paid_once.clear(0)
        paid_once.fail_a_job(0, "Content was flagged by moderation")
        paid_once.slow_down(rows=100.0, fields=0.0, inference=10.0)
        paid_once.submit_late(0, 1.0, "history:before:503*3")
        paid_once.regenerate_in_vain(0, "submit:after:reset")


@pytest.mark.parametrize("step", range(4, 16))
def test_a_worker_dies_when_it_buys_in_place_of_a_lost_one_that_comes_later(stage, step):
    with played(stage, LTX, deferrable=True, retries=3) as paid_once:
        paid_once.submit_late(0, 200.0, None)
        paid_once.meet_with(0, Accident(step))
        for _ in range(4):
            paid_once.work(0)
            paid_once.holds()


def test_what_was_decided_rightly_may_be_sent_later(stage):
    with played(stage, ANY_MODEL) as paid_once:
        paid_once.be_forgotten_for_a_while(2, 1)
        paid_once.be_refused(0, "xcom", 1)
        paid_once.be_forgotten_for_a_while(2, 2)
        paid_once.change_ones_mind(0, "reuse")
        paid_once.meet_with(0, Accident(13))
        paid_once.expire_while_nobody_looks(0)


@pytest.mark.parametrize("deferrable", [True, False])
def test_three_submits_in_a_row_are_lost(stage, deferrable):
    with played(stage, LTX, deferrable=deferrable, retries=3) as paid_once:
        paid_once.submit_late(1, 200.0, None)
        paid_once.submit_late(1, 1.0, None)
        paid_once.submit_late(1, 1.0, "history:before:503*inf")
        for _ in range(4):
            paid_once.work(1)
            paid_once.holds()


def test_of_two_that_look_alike_one_is_taken_for_the_other(stage):
    with played(stage, ANY_MODEL) as paid_once:
        paid_once.be_forgotten_for_a_while(0, 1)
        paid_once.submit_late(0, 200.0, None)
        paid_once.submit_late(0, 200.0, None)
        paid_once.ask_for_something_else(0, Order(0, None, 7))
        paid_once.holds()


def test_without_a_seed_the_one_that_was_given_up_may_be_taken_for_the_one_in_its_place(stage):
    with played(stage, ANY_MODEL) as paid_once:
        paid_once.submit_in_vain(1, "submit:after:reset", "history:before:503*inf", None)
        paid_once.submit_late(0, 200.0, None)
        paid_once.heal()
        paid_once.submit_late(0, 200.0, None)


def test_what_was_said_to_be_gone_before_and_after_a_clear_gives_way_to_what_was_there_before(stage):
    with played(stage, LTX, deferrable=True, policies=REGENERATE) as paid_once:
        paid_once.work_to_the_end(0)
        paid_once.submit_late(0, 1.0, None)
        paid_once.change_ones_mind(0, "reuse")
        paid_once.be_forgotten_for_a_while(0, 2)
