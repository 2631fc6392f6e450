"""What all users of one key in a process share: its budget of calls, and what was learned of its models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_ltx.exceptions import RateLimited, SegmindError
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.estimate import Estimates
from airflow_ltx.segmind.models import RequestStatus, State
from airflow_ltx.segmind.pace import Pace


def used_up(seconds: float) -> RateLimited:
    """The error of a call that is not even made: the service would refuse it."""
    return RateLimited(
        "The account's limit of requests per minute is used up for now; nothing was sent.",
        retry_after=max(0.0, seconds),
        http_status=None,
    )


class Account:
    """Safe to share between threads and event loops.

    :param limit: Requests a minute; None has it learned from refusals.
    :param on_pause: Called with the seconds for which a refusal keeps everybody waiting.
    """

    def __init__(
        self,
        limit: float | None = None,
        *,
        clock: Callable[[], float] = now,
        on_pause: Callable[[float], None] | None = None,
    ) -> None:
        self.estimates = Estimates()
        self._pace = Pace(limit)
        self._lock = threading.Lock()
        self._clock = clock
        self._on_pause = on_pause
        self._running: dict[str | None, dict[object, float]] = {}

    @property
    def allowed(self) -> float | None:
        """Calls a minute that this process makes; None while no limit is known."""
        return self._pace.allowed

    @property
    def at_once(self) -> int:
        """Calls that may be under way together, as far as the limit is concerned."""
        return self._pace.at_once

    def opens_at(self, now: float) -> float:
        """When the next call may begin, in epoch seconds."""
        with self._lock:
            return self._pace.opens_at(now)

    def take(self, now: float) -> None:
        """A call begins."""
        with self._lock:
            self._pace.take(now)

    def check(self) -> None:
        """Before a call that waits for no turn.

        :raises RateLimited: The service has refused somebody, and asked for a pause that is not over.
        """
        at = self._clock()
        with self._lock:
            left = self._pace.paused_until - at
            if left <= 0:
                self._pace.take(at)
                return
        raise used_up(left)

    def learn(self, model: str | None, seen: RequestStatus, age: float) -> float | None:
        """Take a completed request for an example of its model; returns the seconds that it took.

        :param age: Of the request when it was seen, in seconds.
        """
        if seen.state is not State.COMPLETED:
            return None
        told = seen.metrics.total_time
        if told is None and seen.metrics.inference_time is not None:
            told = (seen.metrics.queue_time or 0.0) + seen.metrics.inference_time
        # What the service says of its own clock cannot be longer than what passed by ours.
        took = age if told is None else min(told, age)
        self.estimates.learn(model, took, self._ages(model))
        return took

    @contextmanager
    def watching(self, model: str | None, submitted_at: float | None) -> Iterator[None]:
        """While a request is waited for: that it is not over yet tells something, too."""
        if submitted_at is None:
            yield
            return
        watch = object()
        running = self._running.setdefault(model, {})
        running[watch] = submitted_at
        try:
            yield
        finally:
            del running[watch]

    def _ages(self, model: str | None) -> list[float]:
        at = self._clock()
        return [at - since for since in tuple(self._running.get(model, {}).values())]

    @contextmanager
    def heeding(self) -> Iterator[None]:
        """Around one exchange: learn from how it ends."""
        sent_at = self._clock()
        try:
            yield
        except RateLimited as error:
            pause = self._refused(error.retry_after, sent_at)
            # Where the service says nothing, what everybody waits for is as good as its word.
            error.retry_after = pause if error.retry_after is None else error.retry_after
            raise
        except SegmindError as error:
            if error.http_status is not None:
                self._answered()
            raise
        self._answered()

    def _answered(self) -> None:
        with self._lock:
            self._pace.answered(self._clock())

    def _refused(self, retry_after: float | None, sent_at: float) -> float:
        at = self._clock()
        with self._lock:
            begins = self._pace.refused(at, retry_after, sent_at)
            seconds = self._pace.paused_until - at
        if begins and self._on_pause is not None:
            self._on_pause(seconds)
        return seconds
