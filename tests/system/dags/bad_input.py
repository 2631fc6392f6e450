"""Wrong input of every kind that a task finds, one task each; ``retries`` shows which are tried again."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.operators.segmind import SegmindSubmitOperator
from airflow_ltx.sensors.segmind import SegmindRequestSensor

PROMPT = "{{ run_id }} A lighthouse on a cliff at dusk, slow aerial shot"
QUICK = {"retries": 1, "retry_delay": timedelta(seconds=1)}

with DAG("bad_input", schedule=None):
    LTXSubmitOperator(task_id="wrong_key", prompt=PROMPT, segmind_conn_id="segmind_wrong_key", **QUICK)
    LTXSubmitOperator(task_id="no_connection", prompt=PROMPT, segmind_conn_id="nowhere", **QUICK)
    LTXSubmitOperator(task_id="no_credits", prompt=f"{PROMPT} of the poor", **QUICK)
    LTXSubmitOperator(task_id="no_folder", prompt=PROMPT, destination="file:///proc/videos/", **QUICK)
    SegmindSubmitOperator(task_id="no_model", model="no-such-model", parameters={"prompt": PROMPT}, **QUICK)
    SegmindRequestSensor(task_id="no_request", request_id="0" * 32, **QUICK)

with DAG("bad_values", schedule=None):

    @task
    def lengths() -> list[object]:
        return [98, "long", [97]]

    LTXSubmitOperator(task_id="template", prompt=PROMPT, steps="{{ 50 + 1 }}", **QUICK)
    LTXSubmitOperator(task_id="scheme", prompt=PROMPT, destination="{{ 'oss' }}://bucket/videos/", **QUICK)
    LTXSubmitOperator.partial(task_id="mapped", prompt=PROMPT, **QUICK).expand(length=lengths())
