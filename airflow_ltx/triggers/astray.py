"""Events that went astray: is this one of the wait that the task went into?

Airflow hands an event to whatever task has the trigger's id. SQLite gives the id of a deleted row to the
next one, and a triggerer that still runs the deleted trigger then takes the new one for running: the new
one's task is told how another task's wait ended. So each wait has a name of its own, which the task keeps
with its deferral and the trigger puts into its event.
"""

from __future__ import annotations

from collections.abc import Mapping
from secrets import token_hex
from typing import Any


def new_wait() -> str:
    """The name of a wait that begins now."""
    return token_hex(8)


def missed(payload: Any, awaited: Mapping[str, Any] | None, log: Any) -> Mapping[str, Any] | None:
    """What was awaited, if the event is of another wait, which the log is told; None if it is the right one.

    :param payload: The event's.
    :param awaited: What the task kept with its deferral; None if it kept nothing: then any event will do.
    """
    told = payload if isinstance(payload, Mapping) else {}
    if not awaited or told.get("wait") == awaited["wait"]:
        return None
    whose = f" (request {told['request_id']})" if told.get("request_id") else ""
    log.warning(
        "The event that came is not of this task's wait but of another one%s: where Airflow's database is "
        "SQLite, the id of a trigger may be given away twice. It is ignored: this task's own wait goes on, "
        "and nothing is bought.",
        whose,
    )
    return awaited
