"""Waiting as a pure machine: what was seen, and the time, give either a number of seconds or an end.

Shared by the blocking and the async wait. Nothing transient ends a wait before its deadline: the request is
paid for, and looking is free.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from airflow_ltx.exceptions import (
    AccessDenied,
    AuthenticationFailed,
    ConfigurationError,
    RateLimited,
    RequestNotFound,
    SegmindError,
)
from airflow_ltx.segmind.estimate import Estimate
from airflow_ltx.segmind.models import RequestStatus, State
from airflow_ltx.segmind.schedule import first_look, likelihood, spacing

RECORD_KEPT = 3600.0
"""Seconds for which the service keeps a record, counted from the submit (the cautious reading)."""

YOUNG = 60.0
"""Seconds after its submit during which a 404 is taken for lag of the service."""

DENIED_GRACE = 300.0
"""Seconds for which a wait goes on through 401 and 403: keys are rotated, connections are re-read."""

_FASTEST = 0.05
_JITTER = 0.1


class Ending(StrEnum):
    """Why a wait ends."""

    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    NOT_FOUND = "not_found"
    EXPIRED = "expired"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Pacing:
    """What a wait knows of others: how long such requests take, and how often it may look.

    :param estimate: Of the seconds from submit to completion.
    :param share: Seconds between looks that the request budget has for each wait; 0 where there is no limit.
    """

    estimate: Estimate = field(default_factory=Estimate)
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class PollState:
    """A wait in progress. All times are epoch seconds.

    :param deadline: The last look is made no earlier than this, unless the request ends first.
    :param submitted_at: None if something else submitted the request and did not say when.
    :param interval: A fixed spacing in seconds; None leaves it to the pacing.
    :param looked_at: The last look.
    """

    started_at: float
    deadline: float
    submitted_at: float | None = None
    interval: float | None = None
    pacing: Pacing = field(default_factory=Pacing)
    polls: int = 0
    looked_at: float | None = None
    denied_since: float | None = None
    last_word: str | None = None

    def age(self, now: float) -> float:
        """Seconds since the submit, or since the wait began where that is not known."""
        return max(0.0, now - (self.started_at if self.submitted_at is None else self.submitted_at))

    def spacing(self, now: float, draw: float) -> float:
        """Seconds to the next look; ``draw`` in [0, 1) spreads many waits by a twentieth."""
        if self.interval is not None and self.interval > 0:
            return max(_FASTEST, self.interval)
        base = spacing(self.age(now), self.pacing.estimate, self.pacing.share)
        return base * (1 - _JITTER / 2 + _JITTER * draw)

    def first_wait(self, now: float, draw: float) -> float:
        """Seconds to the first look: until one is worth it for a fresh request, any part of a spacing for an
        old request, none for one of unknown age."""
        if self.submitted_at is None or now >= self.deadline:
            return 0.0
        if self.interval is not None and self.interval > 0:
            until = self.spacing(now, draw) - self.age(now)
        else:
            until = first_look(self.pacing.estimate) * (1 - _JITTER / 2 + _JITTER * draw) - self.age(now)
        # Thousands of waits begin at once when a triggerer restarts, and stay as far apart as they begin.
        return max(0.0, min(until if until > 0 else draw * self.spacing(now, draw), self.deadline - now))

    def worth(self, now: float) -> float:
        """How likely a look finds the end now, of 1; at the deadline it is needed in any case."""
        if now >= self.deadline:
            return 1.0
        looked = 0.0 if self.looked_at is None else self.age(self.looked_at)
        return likelihood(self.age(now), looked, self.pacing.estimate)


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after ``seconds``."""

    seconds: float
    state: PollState


@dataclass(frozen=True, slots=True)
class End:
    """The wait is over. ``status`` is what the last look saw; without one, ``error`` is what stood in its
    way, and ``last_word`` the status string of the last look that succeeded."""

    ending: Ending
    status: RequestStatus | None = None
    error: SegmindError | None = None
    last_word: str | None = None

    @property
    def reason(self) -> str | None:
        """The service's words for a failure, or what stood in the way of the last look."""
        if self.status is not None and self.status.error:
            return self.status.error
        return self.error.message if self.error else None

    @property
    def word(self) -> str | None:
        """The last status string that was seen."""
        return self.status.word if self.status else self.last_word


def after_status(state: PollState, status: RequestStatus, *, now: float, draw: float) -> Wait | End:
    """What a look that succeeded leads to."""
    if status.state is State.COMPLETED:
        return End(Ending.COMPLETED, status)
    if status.state is State.FAILED:
        return End(Ending.FAILED, status)
    seen = replace(state, polls=state.polls + 1, looked_at=now, denied_since=None)
    if now >= state.deadline:
        return End(Ending.TIMEOUT, status)
    return _wait(seen, seen.spacing(now, draw), now)


def after_error(state: PollState, error: SegmindError, *, now: float, draw: float) -> Wait | End:
    """What a look that failed leads to."""
    if isinstance(error, RequestNotFound):
        # Another machine's clock may be ahead; the time since this wait began is certain.
        age = None if state.submitted_at is None else max(now - state.started_at, now - state.submitted_at)
        if age is None or age >= YOUNG:
            expired = age is not None and age >= RECORD_KEPT
            return End(
                Ending.EXPIRED if expired else Ending.NOT_FOUND, error=error, last_word=state.last_word
            )
        # An id this young is known to be good: as long as it is waited for, it counts as running.
        if now >= state.deadline:
            return End(Ending.TIMEOUT, error=error, last_word=state.last_word)
        return _wait(
            replace(state, polls=state.polls + 1, denied_since=None),
            min(state.spacing(now, draw), YOUNG - age),
            now,
        )
    denied = isinstance(error, AuthenticationFailed | AccessDenied | ConfigurationError)
    if not denied and not error.transient:
        raise error
    denied_since = (now if state.denied_since is None else state.denied_since) if denied else None
    if denied_since is not None and now - denied_since >= DENIED_GRACE:
        return End(Ending.DENIED, error=error, last_word=state.last_word)
    if now >= state.deadline:
        return End(Ending.DENIED if denied else Ending.TIMEOUT, error=error, last_word=state.last_word)
    seen = replace(state, polls=state.polls + 1, denied_since=denied_since)
    spacing = seen.spacing(now, draw)
    if isinstance(error, RateLimited) and error.retry_after is not None:
        spacing = max(spacing, error.retry_after)
    return _wait(seen, spacing, now)


def _wait(state: PollState, seconds: float, now: float) -> Wait:
    # The last look falls on the deadline itself, so that no finished request is called late.
    return Wait(min(seconds, max(0.0, state.deadline - now)), state)
