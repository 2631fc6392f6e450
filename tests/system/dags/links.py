"""Tasks that end in each way in which the button to the video matters."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_ltx.operators.ltx import LTXSubmitOperator

PROMPT = "{{ run_id }} A lighthouse at dusk, slow aerial shot"

with DAG("lost_download", schedule=None):
    LTXSubmitOperator(
        task_id="video",
        prompt=PROMPT,
        target_size=512,
        destination="{{ var.value.ltx_destination }}{{ run_id }}/",
        poll_interval=1,
        retries=0,
    )

with DAG("long_video", schedule=None):
    LTXSubmitOperator(
        task_id="video", prompt=PROMPT, target_size=512, poll_interval=1, retry_delay=timedelta(seconds=1)
    )
