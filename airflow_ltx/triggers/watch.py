"""One trigger's looks at its request: when they are due, whose turn it is, and what they teach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_ltx import metrics
from airflow_ltx.exceptions import AccessDenied, AuthenticationFailed, SegmindError
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.estimate import AVERAGES, OTHER_MODEL, estimate
from airflow_ltx.segmind.models import RequestStatus
from airflow_ltx.segmind.polling import Pacing, PollState
from airflow_ltx.segmind.retry import ONCE
from airflow_ltx.segmind.turns import Turn

if TYPE_CHECKING:
    from airflow_ltx.hooks.segmind import SegmindHook
    from airflow_ltx.segmind.async_client import AsyncSegmindClient

_PATIENCE = 60.0
"""Seconds beyond a wait's deadline for which its last look waits for its turn."""


class Watch:
    """Looks through the client that the triggers of a process share.

    :param model: Slug, for how long it usually takes; None if it is not known.
    """

    def __init__(self, hook: SegmindHook, request_id: str, model: str | None) -> None:
        self._hook = hook
        self._request_id = request_id
        self._model = model
        self._client: AsyncSegmindClient | None = None
        self._refused = False

    async def begin(self) -> None:
        """Read the connection before the first look, so that it is spaced by what is known in this process.

        What is wrong with it is told by that look, and tried again by the next.
        """
        try:
            self._client = await self._hook.aget_conn()
        except SegmindError:
            self._client = None

    @contextmanager
    def waiting(self, submitted_at: float | None) -> Iterator[None]:
        """While the request is waited for, it has a share of the budget, and its age teaches others."""
        if self._client is None:
            yield
            return
        with self._client.turns.waiting(), self._client.account.watching(self._model, submitted_at):
            yield

    def pacing(self) -> Pacing:
        """What is known by now."""
        if self._client is None:
            return Pacing(estimate(AVERAGES.get(self._model or "", OTHER_MODEL)))
        return Pacing(self._client.account.estimates.of(self._model), self._client.turns.share)

    async def look(self, state: PollState) -> RequestStatus:
        """One look, in its turn. A key that was refused has the connection read again before the next.

        :raises SegmindError: Also if the turn would come long after the wait's deadline.
        """
        latest = max(state.deadline, now()) + _PATIENCE
        self._client = await self._hook.aget_conn(refused=self._refused)
        try:
            seen = await self._client.status(self._request_id, retry=ONCE, turn=Turn(state.worth, latest))
        except (AuthenticationFailed, AccessDenied):
            self._refused = True
            raise
        finally:
            metrics.polled(self._model)
        self._refused = False
        age = state.age(now())
        took = self._client.account.learn(self._model, seen, age) if state.submitted_at is not None else None
        if took is not None:
            metrics.detected(self._model, age - took)
        return seen
