"""A worker or a triggerer that is killed, at every step of its I/O; then retries, until the task is done."""

from __future__ import annotations

import pytest
from crash_cases import Case, Kind, targets, telling


def test_killed_at_any_step_a_task_is_paid_once_and_ends_whole(stage):
    stage.play(Case(Kind(), {leg: step}) for leg, step in targets(stage.steps(Kind())))


def test_so_it_is_when_each_leg_is_a_process_of_its_own(stage):
    found = targets(stage.steps(Kind()))
    stage.play(Case(Kind(), {leg: step}, alone=True) for leg, step in found[::7])


@pytest.mark.parametrize(
    "kind",
    [
        Kind(deferrable=False),
        Kind(lands=False),
        Kind(task_state=False),
        Kind(task_state=False, deferrable=False, policy="resubmit"),
        Kind(operator="segmind"),
        Kind(operator="segmind", deferrable=False, lands=False, policy="resubmit"),
        Kind(waits=False, lands=False),
    ],
    ids=str,
)
def test_so_is_one_that_waits_elsewhere_or_is_remembered_in_one_place_or_has_no_seed(stage, kind):
    every = targets(stage.steps(kind))
    # What a triggerer does leaves nothing behind, and is killed at every step above.
    waits = () if kind.deferrable else ("a pause of", "the status", "the result")
    found = [(leg, step) for leg, step in every if (leg, step) in telling(every) or step.startswith(waits)]
    stage.play(Case(kind, {leg: step}) for leg, step in found)


@pytest.mark.parametrize("deferrable", [True, False])
def test_one_that_nothing_remembers_names_in_its_log_what_its_retry_buys_again(stage, deferrable):
    kind = Kind(deferrable=deferrable, lands=False, task_state=False)
    every = targets(stage.steps(kind))
    stage.play(Case(kind, {leg: step}) for leg, step in (every if deferrable else telling(every)))
