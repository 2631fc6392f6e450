"""Where the record is kept: Airflow's task state, which outlives tries (Airflow >= 3.3, on workers only)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from airflow_ltx.durability.record import Record

KEY = "airflow_ltx.request"


class RecordStore(Protocol):
    """A place for one task instance's record. Raises if it cannot be reached; that is never "no record"."""

    def read(self) -> Record | None:
        """The record, None if there is none."""

    def write(self, record: Record) -> None:
        """Keep the record in place of the earlier one."""

    def clear(self) -> None:
        """Forget the record."""


class TaskStateRecordStore:
    """The record in ``task_state_store``: shared by all tries of one mapped index of one run.

    Must not be used in a triggerer: a call there is never answered.
    """

    def __init__(self, accessor: Any) -> None:
        self._accessor = accessor

    def read(self) -> Record | None:
        """See :class:`RecordStore`."""
        return Record.from_json(self._accessor.get(KEY))

    def write(self, record: Record) -> None:
        """See :class:`RecordStore`. Kept until it is replaced: a purchase does not expire with a setting."""
        from airflow.sdk.execution_time.context import NEVER_EXPIRE

        self._accessor.set(KEY, record.to_json(), retention=NEVER_EXPIRE)

    def clear(self) -> None:
        """See :class:`RecordStore`."""
        self._accessor.delete(KEY)


def record_store(context: Mapping[str, Any]) -> RecordStore | None:
    """The store that this task's context offers; None on Airflow 3.2."""
    accessor = context.get("task_state_store")
    return None if accessor is None else TaskStateRecordStore(accessor)
