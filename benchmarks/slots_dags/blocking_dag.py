"""The official SDK in a task, as its documentation shows it: it blocks until the video is there."""

from __future__ import annotations

import os

from airflow.sdk import DAG, task

with DAG("blocking_8", schedule=None):

    @task(task_id="video")
    def video(number: int) -> str:
        from segmind import SegmindClient

        client = SegmindClient(os.environ["BENCH_SEGMIND_KEY"], f"{os.environ['BENCH_SEGMIND_URL']}/v1")
        return str(client.run("ltx-video", prompt=f"A pond, {number}")["output"])

    video.expand(number=list(range(8)))
