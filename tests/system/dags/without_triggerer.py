"""A wait that nobody takes up; Airflow's own time-out comes after seconds instead of after eleven minutes."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.triggers import deferral

deferral.BACKSTOP = 2.0

with DAG("without_triggerer", schedule=None):
    LTXSubmitOperator(
        task_id="video",
        prompt="{{ run_id }} A lighthouse at dusk, slow aerial shot",
        target_size=512,
        segmind_conn_id="segmind_hasty",
        timeout=1,
        retries=0,
    )
