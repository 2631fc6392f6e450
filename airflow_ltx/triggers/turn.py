"""The trigger that waits for the turn of a submit. It sends nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_ltx.exceptions import SegmindError
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.segmind.clock import apause, now
from airflow_ltx.segmind.turns import Turn, needed
from airflow_ltx.triggers.early_event import hold_until

VERSION = 1


class SegmindTurnTrigger(BaseTrigger):
    """Fires once the service takes requests again, and this triggerer's budget has one to spare for it.

    So submits that were refused together do not come back together. All arguments are JSON primitives, as for
    :class:`~airflow_ltx.triggers.segmind.SegmindRequestTrigger`; unknown ones are ignored.

    :param segmind_conn_id: Connection whose key was refused.
    :param opens_at: Epoch seconds before which the service takes nothing.
    :param deadline: Epoch seconds at which the event goes out in any case.
    :param not_before: Epoch seconds before which the event is held back.
    :param wait: A name of this wait, for the event: by it a task knows its own.
    """

    def __init__(
        self,
        segmind_conn_id: str = SegmindHook.default_conn_name,
        *,
        opens_at: float,
        deadline: float,
        not_before: float | None = None,
        wait: str | None = None,
        **newer: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.segmind_conn_id = segmind_conn_id
        self.opens_at = opens_at
        self.deadline = deadline
        self.not_before = not_before
        self.wait = wait
        self._newer = sorted(newer)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "segmind_conn_id": self.segmind_conn_id,
                "opens_at": self.opens_at,
                "deadline": self.deadline,
                "not_before": self.not_before,
                "wait": self.wait,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then fire."""
        if self._newer:
            self.log.warning("Ignored arguments of another version: %s.", ", ".join(self._newer))
        await apause(max(0.0, min(self.opens_at, self.deadline) - now()))
        try:
            client = await SegmindHook(self.segmind_conn_id).aget_conn()
            # What is spent here is what the worker will send.
            async with client.turns.have(Turn(needed, latest=self.deadline)):
                pass
        except SegmindError as error:
            # Whatever it is, the worker meets it, too, and says what follows.
            self.log.warning("%s The worker tries to submit.", error.message)
        await hold_until(self.not_before)
        yield TriggerEvent({"version": VERSION, "wait": self.wait})  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """A person ended or cleared the task."""
        self.log.info("The task was ended before its turn came. This submit was not sent.")
