"""The early event provoked: nothing holds it back, and the report of the leg that deferred comes late."""

from __future__ import annotations

import atexit
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.triggers import deferral

LONGEST_LINGER = 60.0


def at_once(deferred_at: float, min_heartbeat_interval: float) -> float:
    return deferred_at


deferral.not_before = at_once


def linger(gate: Path) -> None:
    """Keep the task's process until the gate opens. Its leg is over for Airflow, but not yet reported."""
    until = time.monotonic() + LONGEST_LINGER
    while not gate.exists() and time.monotonic() < until:
        time.sleep(0.05)


class LingeringSubmitOperator(LTXSubmitOperator):
    """Its process outlives its deferral, as one does whose telemetry is slow to go out."""

    def execute(self, context: Any) -> Any:
        if context["ti"].try_number == 1:
            folder = Path(str(self.destination).removeprefix("file://"))
            atexit.register(linger, folder.with_suffix(".gate"))
        return super().execute(context)


with DAG("early_event", schedule=None):
    LingeringSubmitOperator(
        task_id="video",
        prompt="{{ run_id }} {{ task.task_id }} A lighthouse on a cliff at dusk, slow aerial shot",
        target_size=512,
        destination="{{ var.value.ltx_destination }}{{ run_id }}/",
        poll_interval=1,
        retries=2,
        retry_delay=timedelta(seconds=1),
    )
