"""The budget of a key: never above its limit, learned where nobody says it, and paused for everybody."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.segmind.pace import LONGEST_PAUSE, USUAL_LIMIT, WINDOW, Pace

T0 = 1_800_000_000.0


class Service:
    """A sliding window, as the service may count."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.calls: deque[float] = deque()

    def answer(self, now: float) -> float | None:
        """None, or the seconds after which it takes calls again."""
        while self.calls and self.calls[0] <= now - WINDOW:
            self.calls.popleft()
        if len(self.calls) >= self.limit:
            return self.calls[0] + WINDOW - now
        self.calls.append(now)
        return None


def drive(pace: Pace, service: Service, seconds: float, *, told: bool = True, others: float = 0.0):
    """Call whenever it is allowed; (answered, refused). ``others``: calls a minute by somebody else."""
    now, end, refused, answered, theirs = T0, T0 + seconds, 0, 0, T0
    while (now := pace.opens_at(now)) < end:
        while others and theirs <= now:
            service.answer(theirs)
            theirs += 60 / others
        pace.take(now)
        wait = service.answer(now)
        if wait is None:
            pace.answered(now)
            answered += 1
        else:
            pace.refused(now, wait if told else None, now)
            refused += 1
        now += 0.001
    return answered, refused


@given(st.integers(1, 1000), st.lists(st.floats(0, 200), max_size=60))
def test_a_known_limit_is_kept_in_every_window(limit: int, wishes: list[float]) -> None:
    pace, calls, now = Pace(limit), [], T0
    for wish in wishes * 4:
        now = pace.opens_at(now + wish / 10)
        pace.take(now)
        calls.append(now)
    for first in calls:
        assert sum(first <= call < first + WINDOW for call in calls) <= limit


@pytest.mark.parametrize("limit", [1, 5, 50, 60, 120, 500, 1000])
def test_a_known_limit_is_used(limit: int) -> None:
    answered, refused = drive(Pace(limit), Service(limit), 1200)
    assert refused == 0
    assert answered >= 0.9 * limit * 20 - 1


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("limit", [5, 50, 60, 120, 500])
def test_a_limit_that_nobody_told_is_learned_from_a_few_refusals(limit: int, told: bool) -> None:
    answered, refused = drive(Pace(), Service(limit), 3600, told=told)
    # Until something is refused there is no limit, so the first minute is not lost.
    assert refused <= max(12, 0.01 * (answered + refused))
    assert answered >= 0.75 * limit * 60


def test_whoever_shares_the_key_is_left_room() -> None:
    answered, refused = drive(Pace(60), Service(60), 3600, others=30)
    assert refused <= 0.02 * answered
    assert answered >= 0.7 * 30 * 60


def test_a_new_process_does_not_take_a_used_up_window_for_its_limit() -> None:
    pace = Pace()
    pace.take(T0)
    assert pace.refused(T0, 20.0, T0)
    assert pace.allowed == pytest.approx(0.92 * USUAL_LIMIT)


def test_after_a_restart_nothing_is_sent_in_a_burst() -> None:
    pace = Pace(60)
    times = []
    for _ in range(5):
        now = pace.opens_at(times[-1] if times else T0)
        pace.take(now)
        times.append(now)
    assert times[0] == T0
    assert all(later - earlier > 1 for earlier, later in pairwise(times))


def test_a_pause_holds_everybody_and_ends_with_one_call() -> None:
    pace = Pace(600)
    for _ in range(20):
        pace.take(T0 - 1)
    assert pace.refused(T0, 17.0, T0 - 0.1)
    assert pace.opens_at(T0) == T0 + 17
    pace.take(T0 + 17)
    assert pace.opens_at(T0 + 17) > T0 + 17


def test_calls_that_were_under_way_when_one_was_refused_say_nothing_new() -> None:
    pace = Pace()
    for second in range(70):
        pace.take(T0 + second)
        pace.answered(T0 + second)
    assert pace.refused(T0 + 70, 5.0, T0 + 69.9)
    learned = pace.allowed
    assert not pace.refused(T0 + 70.1, 6.0, T0 + 69.95)
    assert not pace.refused(T0 + 70.2, None, T0 + 69.96)
    assert pace.allowed == learned
    assert pace.opens_at(T0 + 71) == pytest.approx(T0 + 76.1)


@given(st.none() | st.floats(-100, 1e9))
def test_no_refusal_stops_a_process_for_long(asked: float | None) -> None:
    pace = Pace()
    pace.take(T0)
    pace.refused(T0, asked, T0)
    assert T0 <= pace.opens_at(T0) <= T0 + LONGEST_PAUSE


def test_pauses_that_nobody_sized_grow_and_begin_anew_after_an_answer() -> None:
    pace, now, pauses = Pace(), T0, []
    for _ in range(6):
        pace.take(now)
        pace.refused(now, None, now)
        pauses.append(pace.paused_until - now)
        now = pace.opens_at(now) + 0.1
    assert pauses == [5, 10, 20, 40, 60, 60]
    pace.answered(now)
    pace.refused(now + 1, None, now + 1)
    assert pace.paused_until == now + 6
