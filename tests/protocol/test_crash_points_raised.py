"""What a signal, a time-out or a cancellation raises, at every step of a task's I/O; then retries."""

from __future__ import annotations

import itertools

import pytest
from crash_cases import Case, Kind, targets, telling
from crash_points import ENDINGS


def endings(kind: Kind, legs: list[list[str]], found: list[tuple[int, str]]) -> list[Case]:
    """A case for each step. A triggerer cancels its triggers; what ends a worker's leg takes turns."""
    turns = itertools.cycle(name for name in ENDINGS if name != "CancelledError")
    triggers = {number for number, steps in enumerate(legs) if any("the event" in step for step in steps)}
    return [
        Case(kind, {leg: step}, "CancelledError" if leg in triggers else next(turns)) for leg, step in found
    ]


def test_ended_at_any_step_a_task_is_paid_once_and_ends_whole(stage):
    legs = stage.steps(Kind())
    stage.play(endings(Kind(), legs, targets(legs)))


def test_so_is_one_that_waits_on_the_worker(stage):
    kind = Kind(deferrable=False)
    legs = stage.steps(kind)
    stage.play(endings(kind, legs, telling(targets(legs))))


@pytest.mark.parametrize("deferrable", [True, False])
def test_one_that_nothing_remembers_fails_for_good_within_its_submit(stage, deferrable):
    kind = Kind(deferrable=deferrable, lands=False, task_state=False)
    legs = stage.steps(kind)
    found = targets(legs) if deferrable else telling(targets(legs))
    stage.play(endings(kind, legs, found))
