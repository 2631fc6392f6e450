"""One clip from a prompt: the sample request of the LTX-Video model page, with a prompt in its manner.

The connection is ``segmind_default``. The folder for the clips comes from the Airflow variable
``ltx_destination``, a URI with a trailing slash.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_ltx.operators.ltx import LTXSubmitOperator

PROMPT = (
    "A woman in close-up, her face half turned to a rain-streaked window at night. Dim blue light from "
    "the street falls across her cheek and catches in her dark, wet hair; behind her the room sinks into "
    "soft shadow. She breathes out slowly, lowers her eyes, then looks up again as a passing car draws a "
    "pale band of light over her features. The camera holds still at eye level with a very slow push in "
    "and a shallow depth of field. Fine grain, muted colours, a quiet and melancholy mood; the scene "
    "looks like a film still."
)

with DAG(
    "ltx_text_to_video",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["ltx", "example"],
) as dag:
    LTXSubmitOperator(
        task_id="make_video",
        prompt=PROMPT,
        negative_prompt="low quality, worst quality, deformed, distorted",
        aspect_ratio="3:2",
        target_size=640,
        length=97,
        steps=30,
        cfg=3,
        seed=2357108,
        destination="{{ var.value.ltx_destination }}",
        retries=2,
        retry_delay=timedelta(seconds=30),
    )
