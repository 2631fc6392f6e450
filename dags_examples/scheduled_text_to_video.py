"""A clip a day: a prompt for each day of the week, in a folder named after the day.

``catchup=False`` keeps a paused or late DAG from buying a video for every day it missed,
``max_active_runs=1`` keeps two runs from being under way at once. Unpausing the DAG starts a run, and so buys
a video, at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG, Asset

from airflow_ltx.operators.ltx import LTXSubmitOperator

STYLE = (
    "Wide establishing shot, slow drone push-in at first light, mist in the valleys, long soft shadows, "
    "muted natural colours, fine grain; the scene looks like the opening of a nature documentary."
)
SCENES = [
    "A chain of snow-covered peaks above a dark pine forest, spindrift blowing off the ridges.",
    "A river delta braided with silver channels, flocks of birds rising from the reeds.",
    "A red desert canyon with a thread of green along its floor, dust drifting in the sun.",
    "A rocky northern coast, slow heavy swell breaking white against black basalt.",
    "A rainforest canopy steaming after rain, a waterfall dropping out of the cloud.",
    "A frozen lake with turquoise cracks in the ice, wind carrying snow across it.",
    "A grass plain bending in the wind, the shadow of a cloud moving over it.",
]

with DAG(
    "ltx_scheduled_text_to_video",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={"scenes": SCENES, "style": STYLE},
    doc_md=__doc__,
    tags=["ltx", "example"],
) as dag:
    LTXSubmitOperator(
        task_id="make_video",
        # The same in every try of a run: a prompt that changes between tries is bought anew.
        prompt="{{ params.scenes[dag_run.run_after.weekday()] }} {{ params.style }}",
        aspect_ratio="16:9",
        destination="{{ var.value.ltx_destination }}{{ dag_run.run_after | ds }}/",
        # Its events say which file they are about; on_new_clip.py is scheduled on it.
        outlets=[Asset("ltx_daily_clips")],
        retries=3,
        retry_delay=timedelta(minutes=1),
    )
