"""The trigger that looks for a request whose submit's answer was lost. It reads, and never buys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_ltx.durability.looking import Telling, alook_up
from airflow_ltx.durability.recovery import Fate, Lookup, Verdict, Wanted
from airflow_ltx.exceptions import SegmindError
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.segmind.history import HistoryFilters
from airflow_ltx.segmind.models import HistoryPage
from airflow_ltx.segmind.moments import utc_text
from airflow_ltx.segmind.plain import plain
from airflow_ltx.segmind.retry import ONCE
from airflow_ltx.triggers.early_event import hold_until

VERSION = 1


class SegmindRecoveryTrigger(BaseTrigger):
    """Searches the account's history until it has the request, or its deadline passes; fires one event.

    All arguments are JSON primitives, as for :class:`~airflow_ltx.triggers.segmind.SegmindRequestTrigger`;
    unknown ones are ignored. Running it again costs nothing.

    :param model: Slug.
    :param marks: Digests of the parameters that were sent, by name. Not the parameters: arguments of triggers
        are stored.
    :param seeded: A seed was sent.
    :param drawn: It was drawn for this request.
    :param intent_at: Epoch seconds just before the submit.
    :param others: Ids of requests that it is not.
    :param deadline: Epoch seconds after which the search ends.
    :param segmind_conn_id: Connection whose key submitted.
    :param not_before: Epoch seconds before which the event is held back.
    :param wait: A name of this wait, for the event: by it a task knows its own.
    """

    def __init__(
        self,
        model: str,
        marks: Mapping[str, str],
        seeded: bool,
        intent_at: float,
        deadline: float,
        segmind_conn_id: str = SegmindHook.default_conn_name,
        *,
        others: Sequence[str] = (),
        drawn: bool = False,
        not_before: float | None = None,
        wait: str | None = None,
        **newer: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.marks = dict(marks)
        self.seeded = seeded
        self.intent_at = intent_at
        self.deadline = deadline
        self.segmind_conn_id = segmind_conn_id
        self.others = list(others)
        self.drawn = drawn
        self.not_before = not_before
        self.wait = wait
        self._newer = sorted(newer)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments; the deadline is absolute, so a restart does not begin it anew."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "model": self.model,
                "marks": self.marks,
                "seeded": self.seeded,
                "intent_at": self.intent_at,
                "deadline": self.deadline,
                "others": self.others,
                "drawn": self.drawn,
                "segmind_conn_id": self.segmind_conn_id,
                "not_before": self.not_before,
                "wait": self.wait,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Search, then fire."""
        if self._newer:
            self.log.warning("Ignored arguments of another version: %s.", ", ".join(self._newer))
        try:
            verdict = await self._search()
        except Exception as error:
            self.log.exception("The search broke off; the worker looks for itself.")
            reason = error.message if isinstance(error, SegmindError) else type(error).__name__
            verdict = Verdict(Fate.UNREADABLE, reason=reason)
        await hold_until(self.not_before)
        yield TriggerEvent(to_payload(verdict, self.wait))  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """A person ended or cleared the task."""
        self.log.warning(
            "The task was ended while the request of %s was being looked for. If there is one, it goes on "
            "and is billed when it completes; the service has no way to cancel it.",
            utc_text(self.intent_at),
        )

    async def _search(self) -> Verdict:
        hook = SegmindHook(self.segmind_conn_id)
        refused = False

        async def read(filters: HistoryFilters) -> HistoryPage:
            nonlocal refused
            try:
                client = await hook.aget_conn(refused=refused)
                page = await client.history(**filters, retry=ONCE)
            except SegmindError as error:
                refused = not error.transient
                raise
            refused = False
            return page

        wanted = Wanted(
            self.model, self.marks, self.seeded, self.intent_at, tuple(self.others), drawn=self.drawn
        )
        return await alook_up(
            Lookup(wanted, self.deadline),
            read,
            Telling(self.log, f"the request of {utc_text(self.intent_at)}"),
        )


def to_payload(verdict: Verdict, wait: str | None = None) -> dict[str, Any]:
    """The event, as a dict of JSON primitives. ``wait``: the name of the wait that it is of."""
    told: dict[str, Any] = plain(
        {
            "version": VERSION,
            "status": verdict.fate.value,
            "request_id": verdict.request_id,
            "reason": verdict.reason,
            "wait": wait,
        }
    )
    return told


def from_payload(payload: Any) -> Verdict:
    """Read an event of this or another version; what is not understood says nothing about the request."""
    told = payload if isinstance(payload, Mapping) else {}
    request_id = told.get("request_id")
    try:
        fate = Fate(str(told.get("status")))
    except ValueError:
        fate = Fate.UNREADABLE
    if fate is Fate.FOUND and not (isinstance(request_id, str) and request_id):
        fate = Fate.UNREADABLE
    reason = told.get("reason")
    if fate is Fate.UNREADABLE and not reason:
        reason = f"the trigger sent an event that this version does not understand: {payload!r:.200}"
    return Verdict(fate, request_id if fate is Fate.FOUND else None, str(reason) if reason else None)
