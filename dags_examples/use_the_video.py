"""What comes after the clip: a task that takes the operator's return value and works on the file.

Here it writes a description beside the clip. ``video_uri`` is where the clip was landed; ``video_url``, at
the service, works for some days only.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, ObjectStoragePath, task

from airflow_ltx.operators.ltx import LTXSubmitOperator

with DAG(
    "ltx_use_the_video",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    doc_md=__doc__,
    tags=["ltx", "example"],
) as dag:
    make_video = LTXSubmitOperator(
        task_id="make_video",
        prompt="A clockmaker's bench in lamplight, tiny brass wheels turning against each other, a hand with "
        "tweezers setting the last one in place. Macro shot, very slow push-in, dust in the light, deep "
        "shadows, warm tones; the scene looks like real footage.",
        destination="{{ var.value.ltx_destination }}",
    )

    @task
    def describe(video: dict[str, Any]) -> str:
        """Write ``<name>.json`` beside the clip and return its path."""
        clip = ObjectStoragePath(video["video_uri"])
        if clip.stat().st_size != video["bytes"]:
            raise ValueError(f"{clip} has {clip.stat().st_size} bytes, not {video['bytes']}")
        kept = ("request_id", "model", "seed", "cost", "bytes", "sha256", "completed_at")
        description = clip.with_suffix(".json")
        description.write_text(json.dumps({key: video[key] for key in kept}, indent=2))
        return str(description)

    describe(make_video.output)
