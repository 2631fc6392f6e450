"""Videos for tests that kill what works on them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_ltx.operators.ltx import LTXSubmitOperator


def video(task_id: str = "video", **arguments: Any) -> LTXSubmitOperator:
    usual = {"destination": "{{ var.value.ltx_destination }}{{ run_id }}/", "retries": 2}
    return LTXSubmitOperator(
        task_id=task_id,
        prompt="{{ run_id }} {{ task.task_id }} A lighthouse on a cliff at dusk, slow aerial shot",
        target_size=512,
        poll_interval=1,
        retry_delay=timedelta(seconds=1),
        **{**usual, **arguments},
    )


with DAG("deferring_video", schedule=None):
    video()

with DAG("remote_video", schedule=None):
    video(destination="{{ var.value.ltx_bucket }}{{ run_id }}/")

with DAG("working_video", schedule=None):
    video(deferrable=False)

with DAG("forgotten_video", schedule=None):
    video(segmind_conn_id="segmind_forgetful", timeout=15)

with DAG("cleared_working_videos", schedule=None):
    video("kept", deferrable=False)
    video("anew", deferrable=False, on_clear="regenerate")

with DAG("cleared_videos", schedule=None):
    video("kept")
    video("anew", on_clear="regenerate")
