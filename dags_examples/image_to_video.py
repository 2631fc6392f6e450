"""A clip that begins with a picture. Its URL is asked for when the DAG is triggered.

The service fetches the picture itself, so the URL must be reachable from the internet without a login. The
clip takes its aspect ratio from the picture.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from airflow_ltx.operators.ltx import LTXSubmitOperator

with DAG(
    "ltx_image_to_video",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params={
        "image": Param(type="string", format="uri", title="Picture", description="URL of the first frame"),
        "movement": Param(
            "The camera moves in very slowly while the light shifts and everything that can move in the "
            "picture moves gently: leaves, water, hair, cloth. Natural, continuous motion, no cuts.",
            type="string",
            title="Movement",
            description="What happens after the first frame",
        ),
    },
    doc_md=__doc__,
    tags=["ltx", "example"],
) as dag:
    LTXSubmitOperator(
        task_id="make_video",
        prompt="{{ params.movement }}",
        image="{{ params.image }}",
        target_size=768,
        destination="{{ var.value.ltx_destination }}",
        retries=2,
        retry_delay=timedelta(seconds=30),
    )
