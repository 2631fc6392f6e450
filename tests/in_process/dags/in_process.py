"""A DAG that runs itself, as people try theirs: Airflow's runner, API and database in one process."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, AssetAlias, task

from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

HOME = Path(os.environ["AIRFLOW_HOME"])
PROMPT = (
    "A lighthouse on a cliff at dusk, waves breaking far below, slow aerial shot moving towards the lantern "
    "as it lights up, warm light against a deep blue sky, cinematic, fine grain"
)
SIGNATURE = "0123456789abcdef5ecret"


class DiesOnce(LTXSubmitOperator):
    """Its first worker is gone before anybody hears what it bought."""

    def execute(self, context: Any) -> Any:
        result = super().execute(context)
        if context["ti"].try_number == 1:
            raise RuntimeError("The worker died.")
        return result


@task
def tell(results: list[dict[str, Any]]) -> None:
    HOME.joinpath("told.json").write_text(json.dumps(results))


with DAG("in_process", schedule=None) as dag:
    landed = LTXSubmitOperator(
        task_id="landed",
        prompt=PROMPT,
        destination=f"file://{HOME}/videos/",
        poll_interval=0.1,
        outlets=[Asset("films"), AssetAlias("each film")],
    )
    retried, beside = (
        DiesOnce(
            task_id=task_id,
            prompt=PROMPT,
            seed=seed,
            destination=destination,
            deferrable=False,
            poll_interval=0.1,
            retries=1,
            retry_delay=timedelta(0),
        )
        for task_id, seed, destination in (("retried", 7, None), ("beside", 8, f"file://{HOME}/videos/"))
    )
    submitted = LTXSubmitOperator(task_id="submitted", prompt=PROMPT, wait_for_completion=False)
    copied = SegmindToObjectStorageOperator(
        task_id="copied",
        request_id=submitted.output,
        destination=f"file://{HOME}/copies/",
        outlets=[Asset("copies")],
    )
    again = SegmindToObjectStorageOperator(
        task_id="again",
        url="{{ ti.xcom_pull('copied', key='output_url') }}?X-Amz-Signature=" + SIGNATURE,
        destination=f"file://{HOME}/copies/{{request_id}}-again{{ext}}",
        outlets=[Asset.ref(name="films")],
    )
    copied >> again
    tell([each.output for each in (landed, retried, beside, copied, again)])

if __name__ == "__main__":
    sys.exit(dag.test().state != "success")
