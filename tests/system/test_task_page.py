"""The button to the video on a task's page, and the log of a wait that nobody took up."""

from __future__ import annotations

import time

import pytest

from local_airflow.health import TRIGGERER

LINK = "Segmind output"


def test_the_button_comes_with_the_video_and_not_before(airflow_stack):
    airflow_stack.emulator.configure(inference_seconds=15)
    api, dag_id = airflow_stack.airflow.api, "long_video"
    try:
        airflow_stack.airflow.wait_for_dags(dag_id)
        api.unpause(dag_id)
        run_id = api.trigger_run(dag_id)
        deadline = time.monotonic() + 60
        while api.task_instances(dag_id, run_id)[0].state != "deferred" and time.monotonic() < deadline:
            time.sleep(0.2)
        assert api.links(dag_id, run_id, "video") == {LINK: None}
        assert api.wait_for_run(dag_id, run_id, timeout=120) == "success"
    finally:
        airflow_stack.emulator.configure(inference_seconds=2)
    published = api.xcoms(dag_id, run_id, "video")
    assert api.links(dag_id, run_id, "video") == {LINK: published["video_url"]}


def test_a_video_that_could_not_be_landed_is_one_click_away(airflow_stack):
    airflow_stack.emulator.set_faults("download:before:404*inf")
    try:
        run = airflow_stack.run("lost_download")
    finally:
        airflow_stack.emulator.set_faults()
    assert [task.state for task in run.tasks] == ["failed"]
    api = airflow_stack.airflow.api
    published = api.xcoms(run.dag_id, run.run_id, "video")
    assert "return_value" not in published
    assert api.links(run.dag_id, run.run_id, "video") == {LINK: published["video_url"]}


@pytest.fixture
def no_triggerer(airflow_stack):
    airflow_stack.airflow.stop_component(TRIGGERER)
    yield
    airflow_stack.airflow.start_component(TRIGGERER)


def test_without_a_triggerer_the_error_says_so_and_names_the_request(airflow_stack, no_triggerer):
    airflow_stack.emulator.configure(inference_seconds=60)
    try:
        run = airflow_stack.run("without_triggerer")
    finally:
        airflow_stack.emulator.configure(inference_seconds=2)
    assert [task.state for task in run.tasks] == ["failed"]
    api = airflow_stack.airflow.api
    log = api.task_log(run.dag_id, run.run_id, "video")
    assert "no triggerer finished the wait in time. Check that one is running" in log
    assert api.xcoms(run.dag_id, run.run_id, "video")["request_id"] in log
