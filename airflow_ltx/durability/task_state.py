"""Records in Airflow's task state, which outlives tries (Airflow >= 3.3, on workers only)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_ltx.durability.record import Record
from airflow_ltx.durability.store import unavailable, understood

KEY = "airflow_ltx.request"


class TaskStateStore:
    """One mapped index of one run; see :class:`~airflow_ltx.durability.store.RecordStore`.

    Must not be used in a triggerer: a call there is never answered.
    """

    def __init__(self, accessor: Any) -> None:
        self._accessor = accessor

    def read(self) -> Record | None:
        """See the protocol."""
        try:
            kept = self._accessor.get(KEY)
        except Exception as error:
            raise unavailable(f"Reading the task state {KEY!r}", error) from error
        if kept is None:
            return None
        return understood(kept, f"The task state {KEY!r} of this task", "delete the key")

    def write(self, record: Record) -> None:
        """See the protocol. Kept until it is replaced: a purchase does not expire with a setting."""
        from airflow.sdk.execution_time.context import NEVER_EXPIRE

        try:
            self._accessor.set(KEY, record.to_json(), retention=NEVER_EXPIRE)
        except Exception as error:
            raise unavailable(f"Writing the task state {KEY!r}", error) from error


def task_state(context: Mapping[str, Any]) -> TaskStateStore | None:
    """The store that this task's context offers; None on Airflow 3.2."""
    accessor = context.get("task_state_store")
    return None if accessor is None else TaskStateStore(accessor)
