"""Events that go astray: a task that is told how another task's wait ended goes on with its own.

Airflow brings an event to the task that has the trigger's id. SQLite gives the highest id to the next row
once its own is deleted, and a triggerer that still runs the deleted trigger does not begin the next one: its
task gets the event of the deleted one. So each wait has a name, which its trigger puts into its event, and
the task keeps the whole wait with its deferral.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_ltx.segmind.clock import now
from airflow_ltx.triggers.early_event import configured_min_heartbeat_interval, not_before

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.triggers.base import BaseTrigger

_KEPT = "awaited"
_LEAST = timedelta(minutes=1)
"""For a wait that is over by now: its trigger looks once in any case."""


def of_a_new_wait() -> dict[str, Any]:
    """What the arguments of our triggers have in common: the wait's name, and when it ends at the soonest."""
    return {"wait": token_hex(8), "not_before": not_before(now(), configured_min_heartbeat_interval())}


def wait_for(trigger: BaseTrigger, method_name: str, timeout: timedelta, **kwargs: Any) -> dict[str, Any]:
    """The arguments of ``defer()`` for one of our triggers.

    :param timeout: Airflow's own, see :func:`~airflow_ltx.triggers.deferral.backstop`.
    :param kwargs: More arguments of the method.
    """
    path, arguments = trigger.serialize()
    awaited = {"trigger": path, "arguments": arguments, "until": now() + timeout.total_seconds()}
    return {
        "trigger": trigger,
        "method_name": method_name,
        "timeout": timeout,
        "kwargs": {**kwargs, _KEPT: awaited},
    }


def arguments_of(
    operator: BaseOperator, next_method: str, next_kwargs: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What the method that a deferral named is called with. After an event of another wait, which is ignored,
    the task defers once more, to the same wait.

    :param next_kwargs: As Airflow gives them to ``resume_execution()``.
    """
    arguments = dict(next_kwargs or {})
    awaited = arguments.pop(_KEPT, None)
    if awaited is not None and "event" in arguments and not _is_own(arguments["event"], awaited):
        operator.log.warning(
            "The event that came is not of this task's wait but of another one%s: where Airflow's database "
            "is SQLite, the id of a trigger may be given away twice. It is ignored, and the task waits on.",
            _whose(arguments.pop("event")),
        )
        _wait_on(operator, next_method, awaited, arguments)
    return arguments


def _wait_on(
    operator: BaseOperator, method_name: str, awaited: Mapping[str, Any], kwargs: Mapping[str, Any]
) -> NoReturn:
    module, _, name = awaited["trigger"].rpartition(".")
    trigger = getattr(import_module(module), name)(**{**awaited["arguments"], **of_a_new_wait()})
    left = max(timedelta(seconds=awaited["until"] - now()), _LEAST)
    operator.defer(**wait_for(trigger, method_name, left, **kwargs))


def _is_own(event: Any, awaited: Mapping[str, Any]) -> bool:
    return isinstance(event, Mapping) and event.get("wait") == awaited["arguments"]["wait"]


def _whose(event: Any) -> str:
    # What other providers put into their events may be no matter for a log.
    of_ours = isinstance(event, Mapping) and "wait" in event
    request_id = event.get("request_id") if of_ours else None
    return f" (request {request_id})" if request_id else ""
