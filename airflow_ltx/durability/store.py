"""Where the record is kept: Airflow's task state, which outlives tries (Airflow >= 3.3, on workers only)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from airflow_ltx.durability.record import Record
from airflow_ltx.exceptions import ConfigurationError

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
        kept = self._accessor.get(KEY)
        record = Record.from_json(kept)
        if kept is not None and record is None:
            raise ConfigurationError(
                f"The task state {KEY!r} of this task holds no record that this version can read: "
                f"{kept!r:.200}. It may stand for a request that was paid for, so nothing is bought. Look at "
                "the request in the Segmind console, delete the key, then run the task again."
            )
        return record

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
