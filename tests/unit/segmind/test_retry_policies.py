from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx import exceptions as e
from airflow_ltx.segmind.retry import (
    DOWNLOAD,
    ONCE,
    READ,
    SUBMIT,
    UPLOAD,
    RetryPolicy,
    async_retrying,
    retrying,
)
from tests.unit.segmind.support import KINDS, VirtualClock

ERRORS: dict[str, BaseException] = {
    "not sent": e.NotSent("x"),
    "rate limited": e.RateLimited("x"),
    "unavailable": e.ServiceUnavailable("x"),
    "unreadable": e.UnreadableResponse("x"),
    "download, passing": e.DownloadFailed("x", transient=True),
    "download, lasting": e.DownloadFailed("x", transient=False),
    "outcome unknown": e.SubmitOutcomeUnknown("x"),
    "not found": e.RequestNotFound("x"),
    "denied": e.AccessDenied("x"),
    "unauthenticated": e.AuthenticationFailed("x"),
    "no credits": e.InsufficientCredits("x"),
    "rejected": e.RequestRejected("x"),
    "failed": e.RequestFailed("x", request_id="i"),
    "no output": e.OutputMissing("x"),
    "wait over": e.WaitTimeout("x"),
    "destination": e.DestinationError("x"),
    "timeout of python": TimeoutError(),
    "reset": ConnectionResetError(),
    "a bug": ValueError("x"),
    "cancelled": asyncio.CancelledError(),
    "interrupt": KeyboardInterrupt(),
}
AGAIN = {
    "read": {"not sent", "rate limited", "unavailable", "unreadable", "download, passing"},
    "submit": {"not sent", "rate limited"},
    "upload": {"not sent", "rate limited", "unavailable"},
    "download": {"download, passing"},
    "once": set(),
}
POLICIES = [READ, SUBMIT, UPLOAD, DOWNLOAD, ONCE]


def attempts(
    kind: str,
    policy: RetryPolicy,
    errors: Callable[[int], BaseException | None],
    *,
    clock: VirtualClock,
    deadline: float | None = None,
    cost: float = 0.0,
) -> tuple[list[float], Any]:
    """The moments at which calls began, and what was returned or raised in the end."""
    begun: list[float] = []

    def call() -> str:
        begun.append(clock.passed)
        clock.now += cost
        error = errors(len(begun))
        if error is not None:
            raise error
        return "answer"

    async def acall() -> str:
        return call()

    async def go() -> str:
        return await async_retrying(policy, deadline=deadline, clock=clock, sleep=clock.asleep)(acall)

    try:
        if kind == "sync":
            return begun, retrying(policy, deadline=deadline, clock=clock, sleep=clock.sleep)(call)
        return begun, asyncio.run(go())
    except BaseException as error:
        return begun, error


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("name", ERRORS)
def test_which_errors_are_followed_by_another_call(policy: RetryPolicy, name: str) -> None:
    for kind in KINDS if name not in ("cancelled", "interrupt") else ("sync",):
        error = ERRORS[name]
        begun, ended = attempts(
            kind, policy, lambda n, error=error: error if n == 1 else None, clock=VirtualClock()
        )
        if name in AGAIN[policy.name]:
            assert (len(begun), ended) == (2, "answer")
        else:
            assert len(begun) == 1
            assert ended is error


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", [READ, SUBMIT, DOWNLOAD], ids=lambda policy: policy.name)
@pytest.mark.parametrize("cost", [0.0, 7.0])
def test_no_call_begins_after_the_deadline_and_the_last_error_is_raised(
    kind: str, policy: RetryPolicy, cost: float
) -> None:
    for deadline in (None, 5.0, 20.0, 1000.0):
        clock = VirtualClock()
        error = e.DownloadFailed("x", transient=True) if policy is DOWNLOAD else e.NotSent("x")
        at = None if deadline is None else clock.start + deadline
        begun, ended = attempts(
            kind, policy, lambda n, error=error: error, clock=clock, deadline=at, cost=cost
        )
        assert ended is error
        assert all(moment < (policy.budget if deadline is None else deadline) for moment in begun)
        assert policy.attempts is None or len(begun) <= policy.attempts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("cost", "deadline", "said"),
    [
        (6.0, 10.0, "cut off. The attempt before it: HTTP 503."),
        # The last one was not cut off.
        (1.0, 3.0, "cut off."),
        # There was none before it.
        (10.0, 10.0, "HTTP 503."),
    ],
)
def test_an_attempt_that_the_deadline_cut_off_tells_what_the_one_before_it_met(
    kind: str, cost: float, deadline: float, said: str
) -> None:
    clock = VirtualClock()
    policy = replace(DOWNLOAD, first_wait=0.5, longest_wait=0.5)
    _, error = attempts(
        kind,
        policy,
        lambda number: e.DownloadFailed("HTTP 503." if number == 1 else "cut off.", transient=True),
        clock=clock,
        deadline=clock.start + deadline,
        cost=cost,
    )
    assert str(error) == said


def test_a_call_is_made_once_even_if_the_deadline_has_passed() -> None:
    clock = VirtualClock()
    begun, _ = attempts(
        "sync", READ, lambda n: e.ServiceUnavailable("x"), clock=clock, deadline=clock.start - 10
    )
    assert len(begun) == 1
    assert clock.sleeps == []


def test_a_submit_is_sent_at_most_four_times() -> None:
    begun, _ = attempts("sync", SUBMIT, lambda n: e.NotSent("x"), clock=VirtualClock(), deadline=4e9)
    assert len(begun) == 4


def test_reads_use_the_whole_of_their_budget() -> None:
    begun, _ = attempts("sync", READ, lambda n: e.ServiceUnavailable("x"), clock=VirtualClock())
    assert begun[-1] > READ.budget - READ.longest_wait
    assert len(begun) < 20


def test_a_download_goes_on_until_its_limit() -> None:
    """A file host that is away for two minutes loses no video: the limit is ten."""
    begun, ended = attempts(
        "sync",
        DOWNLOAD,
        lambda n: e.DownloadFailed("x", transient=True) if clock.passed < 120 else None,
        clock=(clock := VirtualClock()),
    )
    assert ended == "answer"
    assert len(begun) < 40


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", [READ, SUBMIT], ids=lambda policy: policy.name)
def test_the_wait_that_a_429_asks_for_is_honoured(kind: str, policy: RetryPolicy) -> None:
    clock = VirtualClock()
    limited = e.RateLimited("x", retry_after=23.0)
    begun, ended = attempts(kind, policy, lambda n: limited if n == 1 else None, clock=clock)
    assert ended == "answer"
    assert 23.0 <= begun[1] <= 23.0 + policy.first_wait


@pytest.mark.parametrize("policy", [READ, SUBMIT], ids=lambda policy: policy.name)
def test_a_wait_beyond_the_deadline_is_not_slept_through(policy: RetryPolicy) -> None:
    clock = VirtualClock()
    limited = e.RateLimited("x", retry_after=600.0)
    _, ended = attempts("sync", policy, lambda n: limited, clock=clock)
    assert ended is limited
    assert clock.sleeps == []


def test_a_submit_outlasts_one_full_window_of_the_rate_limit() -> None:
    """The limit is per minute, so a reset may be a whole minute away."""
    clock = VirtualClock()
    _, ended = attempts(
        "sync", SUBMIT, lambda n: e.RateLimited("x", retry_after=60.0) if n == 1 else None, clock=clock
    )
    assert ended == "answer"


def test_a_429_whose_reset_has_passed_by_our_clock_is_not_hammered() -> None:
    clock = VirtualClock()
    begun, _ = attempts("sync", READ, lambda n: e.RateLimited("x", retry_after=0.0), clock=clock)
    assert len(begun) < 20


@given(
    attempt=st.integers(1, 10_000),
    draw=st.floats(0, 1, exclude_max=True),
    asked=st.none() | st.floats(0, 3600),
    policy=st.sampled_from([READ, SUBMIT, DOWNLOAD]),
)
def test_waits_are_positive_bounded_and_no_shorter_than_asked(
    attempt: int, draw: float, asked: float | None, policy: RetryPolicy
) -> None:
    seconds = policy.wait(attempt, e.RateLimited("x", retry_after=asked), draw)
    assert (asked or 0.0) <= seconds <= (asked or 0.0) + policy.longest_wait
    backoff = policy.wait(attempt, e.NotSent("x"), draw)
    assert policy.first_wait / 2 <= backoff <= policy.longest_wait


@given(attempt=st.integers(1, 50), policy=st.sampled_from([READ, SUBMIT, DOWNLOAD]))
def test_waits_never_shrink_from_call_to_call(attempt: int, policy: RetryPolicy) -> None:
    assert policy.wait(attempt, None, 0.5) <= policy.wait(attempt + 1, None, 0.5)
