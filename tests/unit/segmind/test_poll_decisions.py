from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx import exceptions as e
from airflow_ltx.segmind.estimate import Estimate
from airflow_ltx.segmind.models import RequestStatus, State
from airflow_ltx.segmind.polling import (
    DENIED_GRACE,
    RECORD_KEPT,
    YOUNG,
    End,
    Ending,
    Pacing,
    PollState,
    Wait,
    after_error,
    after_status,
)
from airflow_ltx.segmind.schedule import first_look, spacing

T0 = 1_800_000_000.0
STATE = PollState(started_at=T0, deadline=T0 + 1200, submitted_at=T0)
TRANSIENT = [e.ServiceUnavailable("x"), e.NotSent("x"), e.UnreadableResponse("x"), e.RateLimited("x")]
DENIED = [e.AuthenticationFailed("x"), e.AccessDenied("x"), e.ConfigurationError("x")]


def status(word: str) -> RequestStatus:
    return RequestStatus("id", State.read(word), word)


def seen(state: PollState, what: RequestStatus | e.SegmindError, at: float, draw: float = 0.5) -> Wait | End:
    if isinstance(what, e.SegmindError):
        return after_error(state, what, now=T0 + at, draw=draw)
    return after_status(state, what, now=T0 + at, draw=draw)


@pytest.mark.parametrize("at", [0, 600, 1200, 5000])
@pytest.mark.parametrize(("word", "ending"), [("COMPLETED", Ending.COMPLETED), ("failed", Ending.FAILED)])
def test_a_finished_request_ends_the_wait_at_any_time(at: float, word: str, ending: Ending) -> None:
    assert seen(STATE, status(word), at) == End(ending, status(word))


@pytest.mark.parametrize("word", ["QUEUED", "PROCESSING", "PENDING", "CANCELED", "ERROR", ""])
@pytest.mark.parametrize(("at", "over"), [(0, False), (1199.9, False), (1200, True), (1300, True)])
def test_any_other_word_is_still_running_until_the_deadline(word: str, at: float, over: bool) -> None:
    step = seen(STATE, status(word), at)
    if over:
        assert step == End(Ending.TIMEOUT, status(word))
    else:
        assert isinstance(step, Wait)


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("at", "over"), [(0, False), (1199.9, False), (1200, True)])
def test_an_obstacle_ends_nothing_before_the_deadline(error: e.SegmindError, at: float, over: bool) -> None:
    step = seen(STATE, error, at)
    if over:
        assert step == End(Ending.TIMEOUT, error=error)
    else:
        assert isinstance(step, Wait)


@pytest.mark.parametrize(
    ("submitted", "at", "ending"),
    [
        (0.0, 0, None),
        (0.0, YOUNG - 0.1, None),
        (0.0, YOUNG, Ending.NOT_FOUND),
        (0.0, RECORD_KEPT - 1, Ending.NOT_FOUND),
        (0.0, RECORD_KEPT, Ending.EXPIRED),
        (-5000.0, 0, Ending.EXPIRED),
        (None, 0, Ending.NOT_FOUND),
        (None, 5000, Ending.NOT_FOUND),
    ],
)
def test_an_unknown_id_is_lag_when_young_and_expiry_when_old(
    submitted: float | None, at: float, ending: Ending | None
) -> None:
    state = replace(STATE, submitted_at=None if submitted is None else T0 + submitted, deadline=T0 + 9000)
    error = e.RequestNotFound("x")
    step = seen(state, error, at)
    if ending is None:
        assert isinstance(step, Wait)
        assert 0 < step.seconds <= YOUNG
    else:
        assert step == End(ending, error=error)


def test_a_young_id_that_is_not_known_yet_counts_as_running_until_the_deadline() -> None:
    """One look takes one look's time, and its 404 is no word on the request."""
    error = e.RequestNotFound("x")
    assert seen(replace(STATE, deadline=T0 + 1), error, 30) == End(Ending.TIMEOUT, error=error)
    step = seen(STATE, error, 30)
    assert isinstance(step, Wait)
    assert 30 + step.seconds <= YOUNG


def test_what_is_no_request_is_told_even_after_the_deadline() -> None:
    with pytest.raises(e.InvalidParameter):
        seen(replace(STATE, deadline=T0), e.InvalidParameter(["request_id is x"]), 30)


def test_a_submit_in_the_future_does_not_make_a_wait_without_end() -> None:
    """Another machine's clock may be an hour ahead; the tolerance is a minute all the same."""
    state = replace(STATE, submitted_at=T0 + 3600, deadline=T0 + 1200)
    step: Wait | End = Wait(0, state)
    now = 0.0
    while isinstance(step, Wait) and now < 3000:
        step = seen(step.state, e.RequestNotFound("x"), now)
        now += step.seconds if isinstance(step, Wait) else 0
    assert now <= 1200 + YOUNG


@pytest.mark.parametrize("error", DENIED, ids=lambda error: type(error).__name__)
def test_a_refused_key_has_its_grace_from_the_first_refusal(error: e.SegmindError) -> None:
    first = seen(STATE, error, 100)
    assert isinstance(first, Wait)
    still = seen(first.state, error, 100 + DENIED_GRACE - 1)
    assert isinstance(still, Wait)
    assert seen(still.state, error, 100 + DENIED_GRACE) == End(Ending.DENIED, error=error)
    assert seen(STATE, error, 1200) == End(Ending.DENIED, error=error)


@pytest.mark.parametrize("between", [status("QUEUED"), e.ServiceUnavailable("x"), e.RequestNotFound("x")])
def test_a_look_that_was_not_refused_begins_the_grace_anew(between: RequestStatus | e.SegmindError) -> None:
    first = seen(STATE, e.AuthenticationFailed("x"), 10)
    assert isinstance(first, Wait)
    read = seen(first.state, between, 40)
    assert isinstance(read, Wait)
    assert isinstance(seen(read.state, e.AuthenticationFailed("x"), 20 + DENIED_GRACE), Wait)


@pytest.mark.parametrize("error", [e.InvalidParameter(["x"]), e.ModelNotFound("x")])
def test_an_error_that_no_look_can_bring_is_raised(error: e.SegmindError) -> None:
    with pytest.raises(type(error)):
        seen(STATE, error, 100)


@pytest.mark.parametrize(("asked", "at", "expected"), [(50.0, 100, 50), (1.0, 100, 10), (900.0, 1000, 200)])
def test_the_wait_of_a_429_is_honoured_up_to_the_deadline(asked: float, at: float, expected: float) -> None:
    step = seen(replace(STATE, interval=10), e.RateLimited("x", retry_after=asked), at)
    assert isinstance(step, Wait)
    assert step.seconds == expected


@pytest.mark.parametrize("age", [0, 50, 100, 299, 1000])
@pytest.mark.parametrize("pacing", [Pacing(), Pacing(Estimate(20.0, 0.4)), Pacing(share=400.0)])
def test_looks_are_spaced_by_age_and_pacing(age: float, pacing: Pacing) -> None:
    step = seen(replace(STATE, deadline=T0 + 9000, pacing=pacing), status("QUEUED"), age)
    assert isinstance(step, Wait)
    assert step.seconds == pytest.approx(spacing(age, pacing.estimate, pacing.share))


FIRST = first_look(Estimate())
OLD = spacing(500, Estimate())


@pytest.mark.parametrize(
    ("submitted", "at", "draw", "expected"),
    [
        (None, 0, 0.9, 0),
        (0.0, 0, 0.5, FIRST),
        (0.0, 0, 0.9, FIRST * 1.04),
        (0.0, 3, 0.5, FIRST - 3),
        (-500.0, 0, 0.5, OLD / 2),
        (-500.0, 0, 0.0, 0),
        (0.0, 2000, 0.5, 0),
    ],
)
def test_the_first_look_comes_when_it_may_find_something(
    submitted: float | None, at: float, draw: float, expected: float
) -> None:
    state = replace(STATE, submitted_at=None if submitted is None else T0 + submitted)
    assert state.first_wait(T0 + at, draw) == pytest.approx(expected)


def test_a_fixed_interval_counts_from_the_submit() -> None:
    state = replace(STATE, interval=7)
    assert [state.first_wait(T0 + at, 0.5) for at in (0, 3)] == [7, 4]


def test_a_look_is_worth_what_it_may_find_and_needed_at_the_deadline() -> None:
    state = replace(STATE, pacing=Pacing(Estimate(55.0, 0.4)))
    assert state.worth(T0 + 10) < 0.01 < 0.4 < state.worth(T0 + 55) < state.worth(T0 + 80) < 1
    looked = seen(state, status("QUEUED"), 79)
    assert isinstance(looked, Wait)
    assert looked.state.worth(T0 + 80) < 0.1
    assert looked.state.worth(T0 + 1200) == 1


@pytest.mark.parametrize("interval", [0.0, -1.0, float("nan")])
def test_an_interval_of_nothing_is_no_busy_loop(interval: float) -> None:
    step = seen(replace(STATE, interval=interval), status("QUEUED"), 100)
    assert isinstance(step, Wait)
    assert step.seconds > 0


moments = st.floats(-100, 8000)
states = st.builds(
    PollState,
    started_at=st.just(T0),
    deadline=st.floats(0, 8000).map(T0.__add__),
    submitted_at=st.none() | st.floats(-8000, 10).map(T0.__add__),
    interval=st.none() | st.floats(0.5, 100),
    denied_since=st.none() | st.floats(0, 100).map(T0.__add__),
)
draws = st.floats(0, 1, exclude_max=True)


@given(states, st.sampled_from(TRANSIENT) | st.text().map(lambda t: status("x" + t)), moments, draws)
def test_nothing_passing_ends_a_wait_and_no_wait_outlives_the_deadline(
    state: PollState, what: RequestStatus | e.SegmindError, at: float, draw: float
) -> None:
    step = seen(state, what, at, draw)
    if T0 + at < state.deadline:
        assert isinstance(step, Wait)
        assert step.seconds > 0
        assert T0 + at + step.seconds <= state.deadline + 1e-6
        assert step.state.polls == state.polls + 1
    else:
        assert isinstance(step, End)
        assert step.ending is Ending.TIMEOUT


@given(states, st.sampled_from([*TRANSIENT, *DENIED, e.RequestNotFound("x")]), moments, draws)
def test_no_error_ends_a_wait_with_a_timeout_before_its_deadline(
    state: PollState, error: e.SegmindError, at: float, draw: float
) -> None:
    step = seen(state, error, at, draw)
    if isinstance(step, End):
        assert step.error is error
        assert step.ending not in (Ending.COMPLETED, Ending.FAILED)
        assert step.ending is not Ending.TIMEOUT or T0 + at >= state.deadline


@given(states, moments, draws)
def test_the_first_wait_never_reaches_past_the_deadline_by_more_than_its_jitter(
    state: PollState, at: float, draw: float
) -> None:
    seconds = state.first_wait(T0 + at, draw)
    assert seconds >= 0
    assert T0 + at >= state.deadline or T0 + at + seconds <= state.deadline + 1.0
