"""Killed once, and once more while it recovers from that."""

from __future__ import annotations

import random

import pytest
from crash_cases import Case, Kind, targets


@pytest.mark.parametrize(
    "kind", [Kind(), Kind(operator="segmind", deferrable=False, policy="resubmit")], ids=str
)
def test_killed_twice_a_task_is_paid_once_and_ends_whole(stage, kind):
    chance = random.Random(4)
    firsts = [dict([first]) for first in chance.sample(targets(stage.steps(kind)), 8)]
    follow = stage.each(firsts, lambda deaths: stage.steps_after(Case(kind, deaths)))
    cases = []
    for deaths, legs in zip(firsts, follow, strict=True):
        # A leg that was killed told none of its steps.
        after = [dict([then]) for then in targets(legs) if then[0] > max(deaths)]
        cases += [Case(kind, {**deaths, **then}) for then in chance.sample(after, min(3, len(after)))]
    assert len(cases) > 15
    stage.play(cases)
