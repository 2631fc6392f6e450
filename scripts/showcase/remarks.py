"""What a task's log says to somebody who waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from local_airflow.records import LogRecord

_PROVIDER = "airflow_ltx"


def last_remark(records: Sequence[LogRecord]) -> str:
    """The provider's latest line: Airflow's own say how a process works, not how a video does."""
    for record in reversed(records):
        if isinstance(record, str) or _PROVIDER not in str(record.get("logger", "")):
            continue
        if record.get("level") != "debug" and record.get("event"):
            return " ".join(str(record["event"]).split())
    return ""


def failure_reason(records: Sequence[LogRecord]) -> str:
    """The last exception in a log in one line, else the last error; empty if it has neither."""
    errors = [record for record in records if not isinstance(record, str) and _is_error(record)]
    for record in reversed(errors):
        details = record.get("error_detail")
        if isinstance(details, list) and details:
            # The first of the chain is the outermost, the one that ended the task.
            outermost = details[0]
            return " ".join(f"{outermost.get('exc_type')}: {outermost.get('exc_value')}".split())
    return " ".join(str(errors[-1].get("event", "")).split()) if errors else ""


def _is_error(record: Mapping[str, Any]) -> bool:
    return bool(record.get("error_detail")) or record.get("level") in ("error", "critical")
