"""Answers of the REST API as typed values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# A line of a structured log; what was printed without structure comes as text.
LogRecord = Mapping[str, Any] | str

FINAL_RUN_STATES = frozenset({"success", "failed"})


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@dataclass(frozen=True)
class TaskInstance:
    """One task of one run; `state` is None until the scheduler has looked at it.

    `pid` is of the process that runs the task, or ran it last. `triggerer` is the id of the job that has its
    trigger, `deferred` when that was stored; both only while the task is deferred.
    """

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    max_tries: int
    start: datetime | None
    end: datetime | None
    duration: float | None
    pid: int | None = None
    triggerer: int | None = None
    deferred: datetime | None = None

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> TaskInstance:
        trigger = row.get("trigger") or {}
        return cls(
            task_id=row["task_id"],
            map_index=row["map_index"],
            state=row["state"],
            try_number=row["try_number"],
            max_tries=row["max_tries"],
            start=_moment(row["start_date"]),
            end=_moment(row["end_date"]),
            duration=row["duration"],
            pid=row.get("pid"),
            triggerer=trigger.get("triggerer_id"),
            deferred=_moment(trigger.get("created_date")),
        )

    @property
    def label(self) -> str:
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


@dataclass(frozen=True)
class ImportFailure:
    """A DAG file that could not be parsed."""

    filename: str
    text: str


def state_lines(tasks: Iterable[TaskInstance]) -> str:
    """The states of a run's tasks for an error message."""
    lines = [f"  {task.label}: {task.state or 'none'} (try {task.try_number})" for task in tasks]
    return "\n".join(lines) or "  (no tasks yet)"


# Whose log it is, the reader knows; Airflow repeats it on every line.
_USUAL_FIELDS = frozenset(
    {"timestamp", "event", "level", "logger", "filename", "lineno", "error_detail"}
    | {"dag_id", "run_id", "task_id", "map_index", "try_number", "ti_id", "ti"}
)


def _frames(details: Any) -> list[str]:
    """The traceback that a structured log line carries, outermost error last."""
    if not isinstance(details, list):
        return []
    lines: list[str] = []
    for detail in reversed(details):
        for frame in detail.get("frames") or []:
            lines.append(f"    {frame.get('filename')}:{frame.get('lineno')} in {frame.get('name')}")
        lines.append(f"    {detail.get('exc_type')}: {detail.get('exc_value')}")
    return lines


def log_line(record: LogRecord) -> str:
    """One line of a task's log as a person reads it; a traceback makes it several."""
    if isinstance(record, str):
        return record
    head = " ".join(str(record[name]) for name in ("timestamp", "level") if record.get(name))
    extra = " ".join(
        f"{name}={json.dumps(value, default=str)}"
        for name, value in record.items()
        if name not in _USUAL_FIELDS and value is not None
    )
    text = " ".join(part for part in (head, str(record.get("event", "")), extra) if part)
    return "\n".join([text, *_frames(record.get("error_detail"))])
