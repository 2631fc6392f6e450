"""When a call is made again: policies over tenacity, with clock and sleep passed in.

As a predicate may know how long to wait (a 429 names its reset), the wait is taken from the error itself
where it has one.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypedDict

from tenacity import AsyncRetrying, RetryCallState, Retrying

from airflow_ltx.exceptions import (
    DownloadFailed,
    NotSent,
    RateLimited,
    SegmindError,
    ServiceUnavailable,
)
from airflow_ltx.segmind.clock import apause, now, pause
from airflow_ltx.segmind.turns import Turn

Clock = Callable[[], float]


class CallOptions(TypedDict, total=False):
    """What every method of the clients takes besides its own arguments.

    ``retry``: a policy instead of the call's own. ``deadline``: epoch seconds after which no further attempt
    begins. ``turn``: what the call is worth beside others that wait in the same event loop; the ordinary
    client, which blocks its only user, has no queue and takes no notice.
    """

    retry: RetryPolicy | None
    deadline: float | None
    turn: Turn


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Which errors are tried again, how often, for how long.

    :param name: For reading in logs and tests.
    :param allowed: Whether this error may be followed by the same call again.
    :param attempts: Calls in all, the first one included; None: as many as fit into ``budget``.
    :param budget: Seconds from the first call after which none is begun any more, where the caller gives no
        deadline of its own.
    :param first_wait: Seconds before the second call; doubles from there, halved at random by jitter.
    :param longest_wait: Seconds at which the doubling stops.
    """

    name: str
    allowed: Callable[[BaseException], bool]
    attempts: int | None
    budget: float
    first_wait: float
    longest_wait: float

    def wait(self, attempt: int, error: BaseException | None, draw: float) -> float:
        """Seconds before call ``attempt + 1``; ``draw`` in [0, 1) is the jitter."""
        asked = error.retry_after if isinstance(error, RateLimited) else None
        backoff = min(self.longest_wait, self.first_wait * 2.0 ** min(attempt - 1, 30))
        jittered = backoff * (0.5 + draw / 2)
        # A reset is a promise for a whole account: everybody comes back at once unless each adds a little.
        # A reset that has passed by our clock is no leave to hammer, so the backoff holds beside it.
        return jittered if asked is None else max(jittered, asked + draw * self.first_wait)


def _transient(error: BaseException) -> bool:
    return isinstance(error, SegmindError) and error.transient


def _provably_unbilled(error: BaseException) -> bool:
    return isinstance(error, NotSent | RateLimited)


def _upload_again(error: BaseException) -> bool:
    return isinstance(error, NotSent | RateLimited | ServiceUnavailable)


def _download_again(error: BaseException) -> bool:
    return isinstance(error, DownloadFailed) and error.transient


READ = RetryPolicy("read", _transient, attempts=None, budget=60.0, first_wait=0.5, longest_wait=10.0)
"""Status, result, balance, history: free of charge, so everything transient, until the caller's deadline."""

SUBMIT = RetryPolicy(
    "submit", _provably_unbilled, attempts=4, budget=150.0, first_wait=1.0, longest_wait=10.0
)
"""The paid call: only what provably never arrived, and a 429, which is refused unbilled. The budget
outlasts a full window of a limit per minute."""


def submit_within(patience: float) -> RetryPolicy:
    """:data:`SUBMIT`, but for refusals whose pause is longer than ``patience`` seconds: who asks has better
    things to do meanwhile."""

    def soon(error: BaseException) -> bool:
        return isinstance(error, NotSent) or (
            isinstance(error, RateLimited) and (error.retry_after or 0.0) <= patience
        )

    return replace(SUBMIT, allowed=soon)


UPLOAD = RetryPolicy("upload", _upload_again, attempts=3, budget=150.0, first_wait=1.0, longest_wait=10.0)
"""Files for the service: free of charge, but each sending whose answer is lost may leave a public copy that
nobody can delete. So a lost answer is followed by two more at the most, and an unreadable one by none."""

DOWNLOAD = RetryPolicy(
    "download", _download_again, attempts=None, budget=600.0, first_wait=0.5, longest_wait=15.0
)
"""A finished file: whatever broke on the way, until the landing limit."""

ONCE = RetryPolicy("once", lambda error: False, attempts=1, budget=0.0, first_wait=0.0, longest_wait=0.0)
"""No second call: for callers that schedule the next look themselves."""


class _Decider:
    """tenacity's callbacks for one call."""

    def __init__(self, policy: RetryPolicy, deadline: float | None, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._deadline = clock() + policy.budget if deadline is None else deadline
        self._said_before: str | None = None

    def decisions(self) -> dict[str, Any]:
        """What tenacity's controllers take."""
        return {
            "retry": self.again,
            "wait": self.wait,
            "stop": self.stop,
            "before_sleep": self._remember,
            "retry_error_callback": self._give_up,
        }

    def again(self, state: RetryCallState) -> bool:
        error = _error(state)
        return error is not None and self._policy.allowed(error)

    def wait(self, state: RetryCallState) -> float:
        return self._policy.wait(state.attempt_number, _error(state), random.random())  # noqa: S311

    def stop(self, state: RetryCallState) -> bool:
        attempts = self._policy.attempts
        if attempts is not None and state.attempt_number >= attempts:
            return True
        # A call that would begin after the deadline is not waited for: the error is worth more now.
        return self._clock() + state.upcoming_sleep >= self._deadline

    def _remember(self, state: RetryCallState) -> None:
        error = _error(state)
        self._said_before = error.message if isinstance(error, SegmindError) else None

    def _give_up(self, state: RetryCallState) -> NoReturn:
        error, before = _error(state), self._said_before
        # What a deadline has cut off tells little of what is wrong.
        cut_off = before is not None and self._clock() >= self._deadline
        if cut_off and isinstance(error, SegmindError) and error.message != before:
            error.add(f"The attempt before it: {before}")
        raise error or AssertionError("Only errors end in giving up.")


def _error(state: RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()


def retrying(
    policy: RetryPolicy,
    *,
    deadline: float | None = None,
    clock: Clock = now,
    sleep: Callable[[float], None] = pause,
) -> Retrying:
    """A tenacity controller for ordinary calls; the last error is raised as it is.

    :param deadline: On ``clock``; no call begins after it. Default: ``policy.budget`` from now.
    """
    decider = _Decider(policy, deadline, clock)
    return Retrying(sleep=sleep, **decider.decisions())


def async_retrying(
    policy: RetryPolicy,
    *,
    deadline: float | None = None,
    clock: Clock = now,
    sleep: Callable[[float], Awaitable[None]] = apause,
) -> AsyncRetrying:
    """As :func:`retrying`, for coroutines."""
    decider = _Decider(policy, deadline, clock)
    return AsyncRetrying(sleep=sleep, **decider.decisions())
