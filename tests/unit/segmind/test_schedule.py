"""When looks fall, and what they cost and find: on job times as the service has them."""

from __future__ import annotations

import heapq
import math
import random
import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.segmind.estimate import AVERAGES, OTHER_MODEL, Estimate, Estimates, estimate
from airflow_ltx.segmind.polling import Pacing, PollState
from airflow_ltx.segmind.schedule import CLOSEST, first_look, likelihood, spacing

MODEL = "ltx-video"
AVERAGE = AVERAGES[MODEL]
SCALES = [0.3, 0.5, 1.0, 2.0, 3.0]

estimates = st.builds(Estimate, st.floats(0.5, 3000), st.floats(0.05, 2.0))
ages = st.floats(0, 1e5)


def job_times(scale: float, count: int, draw: random.Random) -> list[float]:
    return [AVERAGE * scale * math.exp(draw.gauss(0, 0.4)) for _ in range(count)]


def watched(seconds: float, known: Estimate, draw: random.Random) -> tuple[float, int]:
    """(lag, looks) of a request that takes ``seconds``."""
    state = PollState(0.0, math.inf, submitted_at=0.0, pacing=Pacing(known))
    at, looks = state.first_wait(0.0, draw.random()), 1
    while at < seconds:
        at, looks = at + state.spacing(at, draw.random()), looks + 1
    return at - seconds, looks


@pytest.mark.parametrize("scale", SCALES)
def test_a_process_that_knows_nothing_finds_its_requests_soon(scale: float) -> None:
    """Sixty requests, ten at a time, in a process that begins with the average of all users."""
    draw = random.Random(f"cold {scale}")
    lags, looks, times = [], [], []
    for _ in range(20):
        known, left, agenda = Estimates(), job_times(scale, 60, draw), []

        def begin(now: float, left=left, agenda=agenda, known=known) -> None:
            if left:
                state = PollState(now, math.inf, submitted_at=now, pacing=Pacing(known.of(MODEL)))
                heapq.heappush(agenda, (now + state.first_wait(now, draw.random()), now, left.pop(), 1))

        for _ in range(10):
            begin(0.0)
        while agenda:
            now, since, seconds, looked = heapq.heappop(agenda)
            if now - since >= seconds:
                lags.append(now - since - seconds)
                looks.append(looked)
                times.append(seconds)
                known.learn(MODEL, seconds)
                begin(now)
                continue
            state = PollState(since, math.inf, submitted_at=since, pacing=Pacing(known.of(MODEL)))
            heapq.heappush(agenda, (now + state.spacing(now, draw.random()), since, seconds, looked + 1))
    assert statistics.mean(lags) <= max(1.0, 0.08 * statistics.mean(times))
    assert scale > 1 or statistics.mean(looks) <= 12


@pytest.mark.parametrize("scale", SCALES)
def test_the_very_first_request_of_a_process_is_found_almost_as_soon(scale: float) -> None:
    """Twelve looks cannot do better for every scale at once than 8 % of each; the shortest ones pay."""
    draw = random.Random(f"first {scale}")
    times = job_times(scale, 3000, draw)
    lags = [watched(seconds, estimate(AVERAGE), draw)[0] for seconds in times]
    allowed = max(1.0, 0.08 * statistics.mean(times))
    assert statistics.mean(lags) <= allowed * (1.35 if scale < 0.5 else 1.0)


def test_a_request_of_usual_length_needs_twelve_looks_at_the_most() -> None:
    draw = random.Random("55 s")
    assert statistics.mean(watched(55.0, estimate(AVERAGE), draw)[1] for _ in range(500)) <= 12


@pytest.mark.parametrize("scale", SCALES)
def test_twenty_requests_teach_to_find_the_next_in_eight_looks(scale: float) -> None:
    draw = random.Random(f"learned {scale}")
    lags, looks, times = [], [], []
    for _ in range(60):
        known = Estimates()
        for seconds in job_times(scale, 20, draw):
            known.learn(MODEL, seconds)
        for seconds in job_times(scale, 50, draw):
            lag, looked = watched(seconds, known.of(MODEL), draw)
            lags.append(lag)
            looks.append(looked)
            times.append(seconds)
    assert statistics.mean(lags) <= max(1.0, 0.05 * statistics.mean(times))
    assert statistics.mean(looks) <= (8 if scale <= 1 else 8.5)


def test_the_number_of_looks_grows_with_the_logarithm_of_the_time() -> None:
    draw = random.Random("long")
    counts = [watched(100.0 * 10**power, estimate(AVERAGE), draw)[1] for power in range(5)]
    steps = [later - earlier for earlier, later in pairwise(counts)]
    assert max(steps) <= math.log(10) / math.log(1 + 0.05 * 0.95) + 1
    assert max(steps[2:]) - min(steps[2:]) <= 3


@given(estimates, ages, st.floats(0, 1000))
def test_a_spacing_is_never_too_small_and_never_too_large(known: Estimate, age: float, share: float) -> None:
    seconds = spacing(age, known, share)
    assert seconds >= max(CLOSEST, share / 2)
    # Beyond the budget's share, no wait sleeps through more than its first look or a part of its age.
    longest = max(first_look(known), age * max(0.05, 0.134 / known.sigma), CLOSEST)
    assert seconds <= max(longest, share / 2)


@given(estimates, st.floats(2.0, 12.0), st.floats(1.0, 3.0))
def test_after_the_usual_time_looks_grow_rarer_with_age(known: Estimate, late: float, later: float) -> None:
    """From two standard deviations on; up to there a look is likelier to find something every second."""
    age = known.median * math.exp(late * known.sigma)
    assert spacing(age * later, known) >= spacing(age, known) - 1e-9


@given(estimates, st.floats(0.0, 0.999))
def test_nobody_looks_before_it_is_worth_it(known: Estimate, part: float) -> None:
    first = first_look(known)
    assert part * first + spacing(part * first, known) >= first - 1e-9


@given(estimates, ages, ages, st.floats(0, 1e5))
def test_the_likelihood_is_one_and_grows_while_nobody_looks(
    known: Estimate, age: float, looked: float, more: float
) -> None:
    now = likelihood(age, looked, known)
    assert 0 <= now <= 1
    assert likelihood(age + more, looked, known) >= now - 1e-9


def test_what_nobody_expects_any_more_is_likely_enough_to_be_looked_at() -> None:
    known = Estimate(55.0, 0.4)
    assert likelihood(4000, 1000, known) >= 0.07
    assert likelihood(1e9, 1e5, known) >= 0.09


@given(
    st.sampled_from([MODEL, "a new one", None]),
    st.lists(st.floats(0, 1e5), max_size=80),
    st.lists(st.floats(0, 1e5), max_size=80),
)
def test_an_estimate_is_usable_whatever_was_seen(
    model: str | None, seen: list[float], running: list[float]
) -> None:
    estimates = Estimates()
    for seconds in seen:
        estimates.learn(model, seconds, running)
    known = estimates.of(model)
    assert 0.4 <= known.median <= 1e6
    assert 0.05 < known.sigma < 10
    assert spacing(0.0, known) >= CLOSEST


def test_what_is_learned_is_learned_of_one_model_and_forgotten_in_time() -> None:
    known = Estimates()
    for _ in range(30):
        known.learn(MODEL, 5.0)
    assert known.of(MODEL).median == pytest.approx(5.0, rel=0.1)
    assert known.of(MODEL).sigma < 0.5
    assert known.of("veo-3.1-fast").median == pytest.approx(AVERAGES["veo-3.1-fast"])
    assert known.of("a new one") == known.of(None) == estimate(OTHER_MODEL)
    for _ in range(64):
        known.learn(MODEL, 200.0)
    assert known.of(MODEL).median == pytest.approx(200.0, rel=0.05)


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_nonsense_teaches_nothing(seconds: float) -> None:
    known = Estimates()
    known.learn(MODEL, seconds)
    assert known.of(MODEL) == estimate(AVERAGE)


def test_requests_that_begin_together_are_not_taken_for_late_once_the_quick_ones_end() -> None:
    draw = random.Random("together")
    times = sorted(job_times(1.0, 200, draw))
    alone, together = Estimates(), Estimates()
    for number, seconds in enumerate(times[:30]):
        alone.learn(MODEL, seconds)
        together.learn(MODEL, seconds, [seconds] * (200 - number))
    assert alone.of(MODEL).median < 0.65 * AVERAGE
    assert together.of(MODEL).median > 0.75 * AVERAGE
