"""Several prompts, a clip each, at most two at a time.

``max_active_tis_per_dagrun`` counts deferred tasks too, so it limits the requests that run at the service,
not only those that are being submitted. ``max_active_tasks`` and the workers' own limits do not.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_ltx.operators.ltx import LTXSubmitOperator

LOOK = (
    "Handheld camera at walking height, shallow depth of field, warm evening light against deep blue "
    "shadows, light haze, fine grain; the scene looks like real footage."
)

with DAG(
    "ltx_mapped_prompts",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["ltx", "example"],
) as dag:
    LTXSubmitOperator.partial(
        task_id="make_videos",
        destination="{{ var.value.ltx_destination }}{{ run_id }}/",
        max_active_tis_per_dagrun=2,
        retries=3,
        retry_delay=timedelta(seconds=30),
    ).expand(
        prompt=[
            f"A baker pulls a tray of loaves out of a brick oven, steam rising past her face. {LOOK}",
            f"A fisherman mends a net on a wet quay, gulls walking between the ropes. {LOOK}",
            f"A violin maker bends over an unvarnished body, shavings curling under the plane. {LOOK}",
            f"A gardener waters seedlings in a greenhouse, drops running down the panes. {LOOK}",
        ]
    )
