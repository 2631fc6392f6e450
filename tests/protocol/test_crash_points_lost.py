"""Killed while nobody knows whether the submit bought: its answer is lost, the history late or silent."""

from __future__ import annotations

import pytest
from crash_cases import Case, Kind, targets, telling
from crash_stage import BROKEN, LATE, LOST, NEVER


@pytest.mark.parametrize("deferrable", [True, False])
def test_killed_at_any_step_of_the_search_a_task_is_paid_once_and_ends_whole(stage, deferrable):
    kind = Kind(deferrable=deferrable)
    every = targets(stage.steps(kind, LOST, LATE))
    searching = ("the history", "a pause of", "the event", "the deferral")
    found = [
        (leg, step) for leg, step in every if (leg, step) in telling(every) or step.startswith(searching)
    ]
    stage.play((Case(kind, {leg: step}) for leg, step in found), LOST, LATE)


@pytest.mark.parametrize(
    "kind", [Kind(lands=False, deferrable=False), Kind(operator="segmind", task_state=False)], ids=str
)
def test_so_is_one_that_is_remembered_in_one_place_or_has_no_seed(stage, kind):
    found = telling(targets(stage.steps(kind, LOST, LATE)))
    stage.play((Case(kind, {leg: step}) for leg, step in found), LOST, LATE)


@pytest.mark.parametrize("policy", ["fail", "resubmit"])
@pytest.mark.parametrize("deferrable", [True, False])
def test_what_neither_record_nor_history_tell_ends_as_its_author_chose(stage, deferrable, policy):
    kind = Kind(deferrable=deferrable, policy=policy)
    (found, *_) = stage.steps(kind)
    decisive = ("the submit", "the task state: set", "the record's temporary file: rename")
    stage.play((Case(kind, {0: step}) for step in found if step.startswith(decisive)), NEVER)


@pytest.mark.parametrize("policy", ["fail", "resubmit"])
@pytest.mark.parametrize("deferrable", [True, False])
def test_what_cannot_be_looked_for_is_never_bought_again(stage, deferrable, policy):
    kind = Kind(deferrable=deferrable, policy=policy)
    (found, *_) = stage.steps(kind)
    stage.play((Case(kind, {0: step}) for step in found if step.startswith("the submit")), BROKEN)
