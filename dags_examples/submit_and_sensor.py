"""Submit in one task, wait in another: for work between the two, or for a wait that is run again by itself.

Clearing the sensor costs nothing; clearing the submit returns the same request. The sensor copies no file:
the consumer fetches it from ``output_url``, which the service keeps for some days.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.sensors.segmind import SegmindRequestSensor

with DAG(
    "ltx_submit_and_sensor",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    doc_md=__doc__,
    tags=["ltx", "example"],
) as dag:
    submit = LTXSubmitOperator(
        task_id="submit",
        prompt="Rain on the window of a night train, the lights of a small station sliding past and bending "
        "in the drops, the reflection of a reading passenger in the glass. Locked-off close shot, soft "
        "focus, cool blues and one warm lamp, quiet and slow; the scene looks like a film still.",
        wait_for_completion=False,
    )
    wait = SegmindRequestSensor(task_id="wait", request_id=submit.output, timeout=1800)

    @task
    def announce(video: dict[str, Any]) -> str:
        """Say where the clip is."""
        return f"{video['output_url']} cost ${video['cost']}, {video['inference_time']} s of inference"

    announce(wait.output)
