from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_ltx import exceptions as e
from airflow_ltx.segmind.endings import ending_error
from airflow_ltx.segmind.models import Metrics, RequestStatus, State
from airflow_ltx.segmind.narrate import Narrator
from airflow_ltx.segmind.polling import DENIED_GRACE, End, Ending, PollState
from airflow_ltx.segmind.waiting import async_wait_for_end, wait_for_end
from tests.unit.segmind.support import KINDS, VirtualClock

Seen = RequestStatus | Exception
RUNNING = RequestStatus("id", State.PROCESSING, "PROCESSING")
DONE = RequestStatus("id", State.COMPLETED, "COMPLETED")
UNKNOWN = RequestStatus("id", State.UNKNOWN, "PONDERING")


def wait(
    kind: str,
    script: Callable[[float], Seen],
    *,
    timeout: float = 1200.0,
    submitted: float | None = 0.0,
    interval: float | None = None,
    cost: float = 0.0,
    on_seen: Any = lambda seen, step: None,
) -> tuple[End, list[float]]:
    """The end of a wait over ``script(seconds since its begin)``, and the moments of its looks."""
    clock = VirtualClock()
    state = PollState(
        clock.start,
        clock.start + timeout,
        submitted_at=None if submitted is None else clock.start + submitted,
        interval=interval,
    )
    looks: list[float] = []

    def look() -> RequestStatus:
        looks.append(clock.passed)
        assert len(looks) < 5000, "a busy loop"
        seen = script(clock.passed)
        clock.now += cost
        if isinstance(seen, Exception):
            raise seen
        return seen

    async def alook(state: PollState) -> RequestStatus:
        return look()

    shared: dict[str, Any] = {"on_seen": on_seen, "clock": clock, "draw": lambda: 0.5}
    if kind == "sync":
        return wait_for_end(look, state, sleep=clock.sleep, **shared), looks
    return asyncio.run(async_wait_for_end(alook, state, sleep=clock.asleep, **shared)), looks


both = pytest.mark.parametrize("kind", KINDS)


@both
def test_a_request_that_completes_is_noticed_soon(kind: str) -> None:
    end, looks = wait(kind, lambda now: DONE if now >= 55 else RUNNING)
    assert end == End(Ending.COMPLETED, DONE)
    assert 55 <= looks[-1] <= 62
    assert len(looks) <= 12


@both
@pytest.mark.parametrize("timeout", [0.0, -50.0, 1.0, 100.0])
def test_there_is_always_a_look_and_the_last_one_is_at_the_deadline(kind: str, timeout: float) -> None:
    end, looks = wait(kind, lambda now: RUNNING, timeout=timeout)
    assert end == End(Ending.TIMEOUT, RUNNING)
    assert looks[-1] == max(0.0, timeout)


@both
def test_a_request_that_completes_just_before_the_deadline_is_not_called_late(kind: str) -> None:
    end, _ = wait(kind, lambda now: DONE if now >= 1199 else RUNNING)
    assert end.ending is Ending.COMPLETED


@both
@pytest.mark.parametrize(
    "obstacle",
    [
        e.ServiceUnavailable("x"),
        e.NotSent("x"),
        e.UnreadableResponse("x"),
        e.RateLimited("x", retry_after=40),
    ],
)
def test_an_outage_of_many_minutes_ends_nothing(kind: str, obstacle: e.SegmindError) -> None:
    end, _ = wait(kind, lambda now: DONE if now > 1100 else obstacle)
    assert end.ending is Ending.COMPLETED
    end, looks = wait(kind, lambda now: obstacle)
    assert end == End(Ending.TIMEOUT, error=obstacle)
    assert looks[-1] == 1200


@both
def test_a_fresh_id_that_is_unknown_for_a_while_is_waited_for(kind: str) -> None:
    end, looks = wait(kind, lambda now: e.RequestNotFound("x") if now < 58 else DONE)
    assert end.ending is Ending.COMPLETED
    end, looks = wait(kind, lambda now: e.RequestNotFound("x"))
    assert end.ending is Ending.NOT_FOUND
    assert looks[-1] == pytest.approx(60, abs=0.01)
    end, looks = wait(kind, lambda now: e.RequestNotFound("x"), submitted=None)
    assert (end.ending, looks) == (Ending.NOT_FOUND, [0])
    end, looks = wait(kind, lambda now: e.RequestNotFound("x"), submitted=-4000)
    assert end.ending is Ending.EXPIRED
    assert len(looks) == 1


@both
def test_a_key_that_is_corrected_in_time_is_forgiven(kind: str) -> None:
    end, _ = wait(
        kind, lambda now: e.AuthenticationFailed("x") if 30 < now < 280 else DONE if now > 400 else RUNNING
    )
    assert end.ending is Ending.COMPLETED
    end, looks = wait(kind, lambda now: e.AuthenticationFailed("x"))
    assert end.ending is Ending.DENIED
    assert DENIED_GRACE <= looks[-1] <= DENIED_GRACE + 40


@both
def test_unknown_words_mean_still_running(kind: str) -> None:
    end, _ = wait(kind, lambda now: UNKNOWN)
    assert end == End(Ending.TIMEOUT, UNKNOWN)


@both
def test_the_number_of_looks_is_bounded(kind: str) -> None:
    hour, week = (len(wait(kind, lambda now: RUNNING, timeout=t)[1]) for t in (3600, 7 * 86400))
    assert hour < 75
    # By a factor of 168, which is some five powers of e.
    assert week - hour < 5.2 / 0.045
    _, looks = wait(kind, lambda now: RUNNING, timeout=1200, interval=10)
    assert len(looks) == 120


@both
def test_a_bug_is_not_taken_for_an_obstacle(kind: str) -> None:
    with pytest.raises(ZeroDivisionError):
        wait(kind, lambda now: ZeroDivisionError())


faults = st.sampled_from(
    [
        RUNNING,
        UNKNOWN,
        e.ServiceUnavailable("x"),
        e.NotSent("x"),
        e.RateLimited("x", retry_after=0),
        e.RateLimited("x", retry_after=3600),
    ]
)


@settings(max_examples=60, deadline=None)
@given(
    script=st.lists(faults, min_size=1, max_size=40),
    timeout=st.floats(0, 3600),
    submitted=st.none() | st.floats(-3000, 0),
    interval=st.none() | st.floats(1, 60),
    cost=st.floats(0, 30),
    kind=st.sampled_from(KINDS),
)
def test_a_running_request_is_watched_from_at_once_until_its_deadline(
    script: list[Seen],
    timeout: float,
    submitted: float | None,
    interval: float | None,
    cost: float,
    kind: str,
) -> None:
    end, looks = wait(
        kind,
        lambda now: script[int(now) % len(script)],
        timeout=timeout,
        submitted=submitted,
        interval=interval,
        cost=cost,
    )
    assert end.ending is Ending.TIMEOUT
    assert looks[-1] + cost >= timeout - 1e-6
    assert looks[-1] <= timeout + 1 + 1e-6
    assert len(looks) <= (130 if interval is None else timeout / interval + 3)


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, event: Any, *args: Any) -> None:
        self.lines.append("info " + str(event) % args)

    def warning(self, event: Any, *args: Any) -> None:
        self.lines.append("warning " + str(event) % args)


def test_a_wait_is_told_in_a_few_lines() -> None:
    log = Log()

    def script(now: float) -> Seen:
        if 200 < now < 500:
            return e.ServiceUnavailable("100% down")
        return DONE if now > 900 else RUNNING

    _, looks = wait("sync", script, on_seen=Narrator(log, "the-id"))
    assert len(looks) > 25
    assert len(log.lines) <= 5
    assert [line.split()[0] for line in log.lines] == ["info", "warning", "info", "info"]
    assert "100% down" in log.lines[1]


@pytest.mark.parametrize(
    ("ending", "kind", "retryable", "says"),
    [
        (Ending.FAILED, e.RequestFailed, True, "not billed"),
        (Ending.TIMEOUT, e.WaitTimeout, True, "will be billed"),
        (Ending.EXPIRED, e.ResultExpired, False, "one hour"),
        (Ending.NOT_FOUND, e.RequestNotFound, True, "Nothing was bought in its place"),
        (Ending.DENIED, e.AuthenticationFailed, True, "will be billed"),
    ],
)
@pytest.mark.parametrize("submitted_at", [None, 1_000.0])
def test_each_unhappy_ending_says_what_becomes_of_the_money(
    ending: Ending, kind: type[e.SegmindError], retryable: bool, says: str, submitted_at: float | None
) -> None:
    error = ending_error(
        ending, "the-id", now=5_000.0, submitted_at=submitted_at, reason="because", metrics=None
    )
    assert type(error) is kind
    assert (error.retryable, error.request_id) == (retryable, "the-id")
    assert "the-id" in error.message
    assert "because" in error.message
    assert says in error.message


def test_a_failure_that_was_billed_is_told_with_its_cost() -> None:
    error = ending_error(Ending.FAILED, "id", now=0, reason="late", metrics=Metrics(cost=0.05))
    assert "$0.05" in error.message


def test_a_wait_that_never_saw_the_request_does_not_claim_to_know_its_state() -> None:
    error = ending_error(Ending.TIMEOUT, "id", now=1200, submitted_at=0, reason="the service is away")
    assert "is still running" not in error.message
