"""A task with its file and record in object storage, where the triggerer lands: ended at any step."""

from __future__ import annotations

import pytest
from crash_cases import Case, Kind, targets, telling
from crash_points import name_of
from test_crash_points_raised import endings

REMOTE = Kind(remote=True)
OF_THE_STORE = {
    f"the store's {what}, {when}"
    for what in ("record: reading", "record: writing", "video: looking at", "video: writing")
    for when in ("before", "after")
}


def test_the_triggerer_lands_and_each_step_of_it_is_counted(remote_stage):
    buys, lands, ends = [{name_of(step) for step in leg} for leg in remote_stage.steps(REMOTE)]
    assert buys | lands | ends >= OF_THE_STORE
    assert {"the store's video: writing, after", "the download: its answer is read"} <= lands
    assert not any("video: writing" in step or "the download" in step for step in buys | ends)


def test_ended_at_any_step_a_task_is_paid_once_and_ends_whole(remote_stage):
    legs = remote_stage.steps(REMOTE)
    remote_stage.play(endings(REMOTE, legs, targets(legs)))


@pytest.mark.parametrize(
    ("task_state", "steps"),
    [
        (True, ("the submit", "the store's", "the task state: set", "the event", "the return")),
        # Then the record that is beside the file is all there is.
        (False, ("the submit", "the store's record: writing")),
    ],
)
def test_so_is_one_that_is_killed_around_its_purchase_or_its_landing(remote_stage, task_state, steps):
    kind = Kind(remote=True, task_state=task_state)
    found = targets(remote_stage.steps(kind))
    changing = telling(found)
    remote_stage.play(
        Case(kind, {leg: step}) for leg, step in found if (leg, step) in changing and step.startswith(steps)
    )
