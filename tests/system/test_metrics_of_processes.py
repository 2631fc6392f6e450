"""Metrics of real processes: a triggerer sets up no metrics for triggers, so this package does."""

from __future__ import annotations


def test_workers_and_triggerer_report(airflow_stack):
    before = {
        name: len(airflow_stack.metrics.samples(name)) for name in ("purchases", "polls", "detection_lag")
    }
    run = airflow_stack.run("ltx_text_to_video")
    assert run.state == "success", airflow_stack.logs(run)
    for name, number in before.items():
        assert airflow_stack.metrics.wait_for(name, number + 1), name
    assert airflow_stack.metrics.wait_for("landing_bytes")
