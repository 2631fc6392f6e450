"""Videos whose events are held back longer than usual: time to kill the triggerer meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.triggers import deferral

HOLD = 15.0


def much_later(deferred_at: float, min_heartbeat_interval: float) -> float:
    return deferred_at + HOLD


deferral.not_before = much_later


def video(**arguments: Any) -> LTXSubmitOperator:
    return LTXSubmitOperator(
        task_id="video",
        prompt="{{ run_id }} {{ task.task_id }} A lighthouse on a cliff at dusk, slow aerial shot",
        target_size=512,
        poll_interval=1,
        retries=2,
        retry_delay=timedelta(seconds=1),
        **arguments,
    )


with DAG("held_video", schedule=None):
    video(destination="{{ var.value.ltx_destination }}{{ run_id }}/")

with DAG("held_remote_video", schedule=None):
    # Nothing but this request's own file may have the name.
    video(destination="{{ var.value.ltx_bucket }}{{ run_id }}/clip.mp4", if_exists="error")
