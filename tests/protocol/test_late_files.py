"""What was paid for and not fetched while its record's hour goes by: said where its author looks."""

from __future__ import annotations

import asyncio
import time

import pytest

from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.triggers.segmind import SegmindRequestTrigger
from runner import TaskRun, TaskState

pytestmark = pytest.mark.usefixtures("no_hold")

AGES = pytest.mark.parametrize(
    ("age", "said"),
    [(1700, None), (1810, "50% of the hour have passed"), (2900, "80% of the hour have passed")],
)


def warned(text: str) -> list[str]:
    return [line for line in text.splitlines() if "of the hour have passed" in line]


@AGES
async def test_a_trigger_that_still_waits_says_so_once(segmind, capsys, caplog, age, said):
    segmind.configure(inference_seconds=600)
    request = SegmindHook().submit("ltx-video", {"prompt": "a lighthouse at dusk"})
    trigger = SegmindRequestTrigger(
        request.request_id,
        submitted_at=time.time() - age,
        deadline=time.time() + 1,
        poll_interval=0.1,
    )
    async for _ in trigger.run():
        break
    lines = warned(capsys.readouterr().out + caplog.text)
    assert len({line.partition("of the hour")[2] for line in lines}) == (0 if said is None else 1)
    assert all(said in line and "is kept until" in line for line in lines)


@AGES
def test_a_worker_that_lands_late_says_so(segmind, tmp_path, capsys, caplog, age, said):
    run = TaskRun(
        lambda: LTXSubmitOperator(
            task_id="t",
            prompt="a lighthouse at dusk",
            destination=f"file://{tmp_path}/",
            poll_interval=0.05,
            timeout=20,
        ),
        state=TaskState(),
    )

    def old(deferral):
        return {"event": {**asyncio.run(run.fire(deferral)), "submitted_at": time.time() - age}}

    assert run.try_with(old)["bytes"]
    lines = warned(capsys.readouterr().out + caplog.text)
    assert bool(lines) is (said is not None)
    assert all(said in line and "its file not landed yet" in line for line in lines)
