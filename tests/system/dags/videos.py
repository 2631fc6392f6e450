"""DAGs of the system tests. Each prompt names its run, so that the ledger tells whose a request is."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.operators.segmind import SegmindSubmitOperator

PROMPT = (
    "{{ run_id }} A lighthouse on a cliff at dusk, waves breaking far below, slow aerial shot moving towards "
    "the lantern as it lights up, warm light against a deep blue sky, cinematic, fine grain"
)
QUICK = {"poll_interval": 1, "retries": 2, "retry_delay": timedelta(seconds=1)}

with DAG("six_videos", schedule=None):
    LTXSubmitOperator.partial(
        task_id="video",
        target_size=512,
        destination="{{ var.value.ltx_destination }}{{ run_id }}/",
        **QUICK,
    ).expand(prompt=[f"{PROMPT} scene {number}" for number in range(6)])

with DAG("videos_from_tasks", schedule=None):

    @task
    def scenes() -> list[dict[str, object]]:
        return [
            {"prompt": "a first one", "target_size": 512},
            {"prompt": "a second one", "target_size": "512", "seed": 7},
            {"prompt": "a third one, out of range", "length": 98},
        ]

    LTXSubmitOperator.partial(task_id="video", **QUICK).expand_kwargs(scenes())

with DAG("blocking_video", schedule=None):
    LTXSubmitOperator(
        task_id="video",
        prompt=PROMPT,
        target_size=512,
        deferrable=False,
        destination="{{ var.value.ltx_destination }}{{ run_id }}/clip.mp4",
        **QUICK,
    )

with DAG("impatient_video", schedule=None):
    LTXSubmitOperator(task_id="video", prompt=PROMPT, target_size=512, timeout=0.5, **QUICK)

with DAG("native_rendering", schedule=None, render_template_as_native_obj=True):
    LTXSubmitOperator(
        task_id="video",
        prompt="{{ 123 }}",
        target_size="{{ 512 }}",
        cfg="{{ 3.5 }}",
        seed="{{ none }}",
        **QUICK,
    )

with DAG("wrong_key", schedule=None):
    LTXSubmitOperator(task_id="video", prompt=PROMPT, segmind_conn_id="segmind_wrong_key", **QUICK)

with DAG("failing_request", schedule=None):
    LTXSubmitOperator(
        task_id="video", prompt=PROMPT, image="https://unreachable.invalid/first.png?token=s3cr3t", **QUICK
    )

with DAG("any_model", schedule=None):
    made = SegmindSubmitOperator(
        task_id="video", model="wan-2.2-t2v-fast", parameters={"prompt": PROMPT}, **QUICK
    )

    @task
    def report(result: dict[str, object]) -> str:
        return f"{result['model']} cost {result['cost']}"

    report(made.output)
