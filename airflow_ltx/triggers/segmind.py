"""The trigger that waits for a request in the triggerer. It reads, and never buys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib import import_module
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_ltx.exceptions import SegmindError
from airflow_ltx.hooks.segmind import DEFAULT_TIMEOUT, SegmindHook
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.narrate import COMPLETED_ANYWAY, NO_CANCEL, OVER, Narrator
from airflow_ltx.segmind.polling import End, Ending, PollState
from airflow_ltx.segmind.waiting import async_wait_for_end
from airflow_ltx.triggers.early_event import hold_until
from airflow_ltx.triggers.event import BROKEN, RequestEvent
from airflow_ltx.triggers.watch import Watch

_RESULT_LIMIT = 60.0


class SegmindRequestTrigger(BaseTrigger):
    """Looks at one request until it ends or its deadline passes, lands its files if asked to, then fires one
    event.

    All arguments are JSON primitives, since they are stored between processes and package versions; unknown
    ones, as a newer version may have stored them, are ignored. Running it again, as after a restart of the
    triggerer, costs nothing.

    :param request_id: An id that :meth:`SegmindHook.submit` or the console gave.
    :param segmind_conn_id: Connection whose key submitted it.
    :param model: Slug, for the event.
    :param submitted_at: Epoch seconds, if known.
    :param deadline: Epoch seconds after which the wait ends. Default: 1200 s from construction.
    :param poll_interval: Seconds between looks; None spaces them by how long the model usually takes.
    :param landing: Where the files go, as ``airflow_ltx.landing.wish.Wish.to_json`` says it; None leaves
        them to the worker.
    :param not_before: Epoch seconds before which the event is held back.
    :param fingerprint: Of the parameters that were bought, for the event.
    :param seed: That was sent, for the event.
    :param wait: A name of this wait, for the event: by it a task knows its own.
    """

    def __init__(
        self,
        request_id: str,
        segmind_conn_id: str = SegmindHook.default_conn_name,
        *,
        model: str | None = None,
        submitted_at: float | None = None,
        deadline: float | None = None,
        poll_interval: float | None = None,
        landing: dict[str, Any] | None = None,
        not_before: float | None = None,
        fingerprint: str | None = None,
        seed: int | None = None,
        wait: str | None = None,
        **newer: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.request_id = request_id
        self.segmind_conn_id = segmind_conn_id
        self.model = model
        self.submitted_at = submitted_at
        self.deadline = now() + DEFAULT_TIMEOUT if deadline is None else deadline
        self.poll_interval = poll_interval
        self.landing = landing
        self.not_before = not_before
        self.fingerprint = fingerprint
        self.seed = seed
        self.wait = wait
        self._newer = sorted(newer)
        self._ending: Ending | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments; the deadline is absolute, so a restart does not begin it anew."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "request_id": self.request_id,
                "segmind_conn_id": self.segmind_conn_id,
                "model": self.model,
                "submitted_at": self.submitted_at,
                "deadline": self.deadline,
                "poll_interval": self.poll_interval,
                "landing": self.landing,
                "not_before": self.not_before,
                "fingerprint": self.fingerprint,
                "seed": self.seed,
                "wait": self.wait,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then fire. Cancellation passes through: it means the task ended or the triggerer moves."""
        if self._newer:
            self.log.warning("Ignored arguments of another version: %s.", ", ".join(self._newer))
        try:
            event = await self._wait()
        except Exception as error:
            self.log.exception(
                "The wait for request %s broke off; the worker looks for itself.", self.request_id
            )
            event = RequestEvent(
                status=BROKEN,
                request_id=self.request_id,
                model=self.model,
                submitted_at=self.submitted_at,
                reason=error.message if isinstance(error, SegmindError) else type(error).__name__,
            )
        event = replace(event, fingerprint=self.fingerprint, seed=self.seed, wait=self.wait)
        await hold_until(self.not_before)
        yield TriggerEvent(event.to_payload())  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """A person ended or cleared the task, or another triggerer has done the work of one that was halted.

        The service has no cancel, and the log says so.
        """
        if self._ending is Ending.COMPLETED:
            self.log.warning(COMPLETED_ANYWAY, self.request_id)
        elif self._ending in (None, Ending.TIMEOUT, Ending.DENIED):
            self.log.warning(NO_CANCEL, self.request_id)
        else:
            self.log.warning(OVER, self.request_id)

    async def _wait(self) -> RequestEvent:
        if self.landing is not None:
            # Off the loop, and now: it takes some tenths of a second, once in a process.
            await asyncio.to_thread(import_module, "airflow_ltx.triggers.landing")
            from airflow_ltx.triggers.landing import prepare

            prepare(self.landing)
        hook = SegmindHook(self.segmind_conn_id)
        watch = Watch(hook, self.request_id, self.model)
        await watch.begin()
        state = PollState(
            started_at=now(),
            deadline=self.deadline,
            submitted_at=self.submitted_at,
            interval=self.poll_interval,
        )
        with watch.waiting(self.submitted_at):
            end = await async_wait_for_end(
                watch.look,
                state,
                pacing=watch.pacing,
                on_seen=Narrator(self.log, self.request_id, self.submitted_at),
            )
        return await self._event(hook, end)

    async def _event(self, hook: SegmindHook, end: End) -> RequestEvent:
        seen_at = now()
        event = RequestEvent.of(end, self.request_id, self.model, self.submitted_at, now=seen_at)
        self._ending = end.ending
        if end.ending is not Ending.COMPLETED:
            return event
        try:
            client = await hook.aget_conn()
            result = await client.result(self.request_id, deadline=seen_at + _RESULT_LIMIT)
        except SegmindError as error:
            self.log.warning("%s The worker reads it again.", error.message)
            return event
        event = replace(event, result=result)
        if self.landing is None:
            return event
        from airflow_ltx.triggers.landing import land_here

        landed, obstacle = await land_here(
            self.landing, result, self.model, client.config, self.log, submitted_at=self.submitted_at
        )
        return replace(event, landed=landed, landing_error=obstacle)
