"""What a task and its trigger report, as a StatsD server receives it."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_ltx import metrics
from airflow_ltx.emulator import FaultRule
from airflow_ltx.hooks import _clients
from airflow_ltx.operators.ltx import LTXSubmitOperator
from runner import TaskRun
from statsd_listener import StatsdListener

pytestmark = pytest.mark.usefixtures("no_hold")

PROMPT = (
    "A lighthouse on a cliff at dusk, waves far below, slow aerial shot towards the lantern as it lights up"
)


@pytest.fixture
def heard(monkeypatch):
    monkeypatch.setattr(metrics, "_ready", {})
    monkeypatch.setattr(_clients, "_accounts", {})
    monkeypatch.setattr(_clients, "_clients", {})
    with StatsdListener() as listener:
        for name, value in listener.environment.items():
            monkeypatch.setenv(name, value)
        yield listener


def video(tmp_path: Path, **arguments) -> TaskRun:
    return TaskRun(
        lambda: LTXSubmitOperator(
            **{
                "task_id": "t",
                "prompt": PROMPT,
                "poll_interval": 0.05,
                "timeout": 20,
                "destination": f"file://{tmp_path}/",
                **arguments,
            }
        )
    )


def test_a_video_is_counted_from_its_purchase_to_its_landing(segmind, heard, tmp_path):
    result = video(tmp_path).try_once()
    assert [sample.value for sample in heard.wait_for("purchases")] == [1]
    assert len(heard.wait_for("polls")) >= 1
    (lag,) = heard.wait_for("detection_lag")
    assert (lag.kind, 0 <= lag.value < 5000) == ("ms", True)
    assert [sample.value for sample in heard.wait_for("landing_bytes")] == [result["bytes"]]
    assert heard.wait_for("landing_duration")[0].kind == "ms"
    assert not heard.samples("reattachments")


def test_a_retry_that_takes_a_request_up_is_no_purchase(segmind, heard, tmp_path):
    segmind.add_faults("download:before:404*1")
    run = video(tmp_path)
    with pytest.raises(Exception, match="A retry takes up this request"):
        run.try_once()
    run.try_once()
    assert len(heard.wait_for("reattachments")) == 1
    assert len(heard.samples("purchases")) == 1


def test_a_refusal_is_one_pause_however_many_it_keeps_waiting(segmind, heard, tmp_path):
    segmind.add_faults(FaultRule("submit", "before", "429:1"))
    video(tmp_path).try_once()
    assert len(heard.wait_for("rate_limit_pauses")) == 1
    assert 0 < heard.wait_for("rate_limit_pause")[0].value <= 300_000


def test_what_was_paid_for_and_is_gone_is_counted(segmind, heard, tmp_path, later):
    run = video(tmp_path, wait_for_completion=False, destination=None)
    run.try_once()
    later(8 * 24 * 3600)
    segmind.add_faults("history:before:404*inf")
    with pytest.raises(AirflowFailException):
        TaskRun(
            lambda: LTXSubmitOperator(task_id="t", prompt=PROMPT, poll_interval=0.05, timeout=1),
            state=run.state,
        ).try_once()
    assert len(heard.wait_for("results_expired")) == 1


def test_a_server_that_is_away_costs_no_video(segmind, monkeypatch, tmp_path):
    monkeypatch.setattr(metrics, "_ready", {})
    for name, value in {"ON": "True", "HOST": "no-such-host.invalid", "PORT": "8125"}.items():
        monkeypatch.setenv(f"AIRFLOW__METRICS__STATSD_{name}", value)
    assert video(tmp_path).try_once()["uri"]
