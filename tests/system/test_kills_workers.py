"""Workers killed with -9, tasks cleared, a task failed by the scheduler: what was bought is in the ledger."""

from __future__ import annotations

import json

import pytest
from scenario import Scenario, Together

from airflow_ltx.emulator import Settings, running_emulator

INFERENCE = 8
FORGETFUL = "segmind_forgetful"


def killed_before_the_record(stack) -> Scenario:
    run = Scenario.begin(stack, "deferring_video", "submit:after:stall:30")
    run.submitted()
    run.kill_task()
    return run.ended()


def killed_before_the_record_and_never_in_the_history(stack) -> Scenario:
    run = Scenario.begin(stack, "forgotten_video", "submit:after:stall:30")
    run.submitted()
    run.kill_task()
    return run.ended()


def killed_with_its_worker_after_the_record(stack) -> Scenario:
    run = Scenario.begin(stack, "working_video")
    run.recorded()
    run.kill_task(supervisor=True)
    return run.ended()


def killed_while_landing(stack) -> Scenario:
    run = Scenario.begin(stack, "deferring_video")
    stack.emulator.add_faults(f"download:after:slow:2000@{run.submitted()}")
    run.struck("download")
    run.until(lambda run: parts_of(run), "part of a file")
    run.kill_task()
    assert run.finished_files() == []
    return run.ended()


def cleared_while_deferred(stack) -> Scenario:
    run = Scenario.begin(stack, "deferring_video")
    run.deferred()
    run.clear()
    return run.ended()


def cleared_while_running(stack) -> Scenario:
    run = Scenario.begin(stack, "cleared_working_videos").sibling("kept")
    for task in (run, run.sibling("anew")):
        task.recorded()
        assert task.task.state == "running"
        task.clear()
    return run.ended()


def cleared_after_its_success(stack) -> Scenario:
    run = Scenario.begin(stack, "deferring_video").ended()
    run.the_one_video()
    run.clear()
    return run.ended()


def cleared_with_its_run(stack) -> Scenario:
    run = Scenario.begin(stack, "cleared_videos").sibling("kept").ended()
    for task in (run, run.sibling("anew")):
        task.the_one_video()
    run.clear(whole_run=True)
    return run.ended()


def failed_by_the_scheduler(stack) -> Scenario:
    run = Scenario.begin(stack, "early_event")
    # The leg after the wait stays long enough to be found running when the first leg's end is reported.
    stack.emulator.add_faults(f"download:after:stall:20@{run.submitted()}")
    run.struck("download")
    run.folder.with_suffix(".gate").touch()
    return run.ended()


SCENARIOS = (
    killed_before_the_record,
    killed_before_the_record_and_never_in_the_history,
    killed_with_its_worker_after_the_record,
    killed_while_landing,
    cleared_while_deferred,
    cleared_while_running,
    cleared_after_its_success,
    cleared_with_its_run,
    failed_by_the_scheduler,
)


def parts_of(run: Scenario) -> list[int]:
    """Sizes of the files that were begun."""
    return [size for path in run.folder.glob(".*.part") if (size := path.stat().st_size)]


@pytest.fixture(scope="module")
def forgetful(airflow_stack):
    """A connection whose request history is that of another service, which knows of nothing."""
    api, emulator = airflow_stack.airflow.api, airflow_stack.emulator
    with running_emulator(Settings(prerender=False)) as other:
        connection = {
            "connection_id": FORGETFUL,
            "conn_type": "segmind",
            "host": emulator.base_url,
            "password": emulator.key,
            "extra": json.dumps({"history_url": other.base_url}),
        }
        api.request("POST", "connections", connection)
        try:
            yield other
        finally:
            api.request("DELETE", f"connections/{FORGETFUL}")


@pytest.fixture(scope="module")
def scenarios(airflow_stack, forgetful):
    airflow_stack.emulator.configure(inference_seconds=INFERENCE)
    together = Together(airflow_stack, SCENARIOS)
    try:
        yield together
    finally:
        together.close()
        airflow_stack.emulator.set_faults()
        airflow_stack.emulator.configure(inference_seconds=2)


def test_a_request_whose_answer_died_with_its_worker_is_found_in_the_history(airflow_stack, scenarios):
    run = scenarios.end_of(killed_before_the_record)
    result = run.the_one_video()
    assert (run.task.try_number, result["reused"]) == (2, True), run.logs()
    assert result["request_id"] not in run.log(1)
    assert result["request_id"] in run.log(2)


def test_a_request_that_the_history_never_tells_is_not_bought_again(airflow_stack, scenarios, forgetful):
    run = scenarios.end_of(killed_before_the_record_and_never_in_the_history)
    assert (run.task.state, run.task.try_number) == ("failed", 3), run.logs()
    assert len(run.purchases) == 1, run.logs()
    # Each retry looks again: rows may appear late.
    assert forgetful.ledger.lookups["history"] > 1
    assert "nothing was bought in its place" in run.log(2)
    assert "on_orphaned_intent='resubmit'" in run.log(3)


def test_a_retry_takes_up_the_request_of_a_worker_that_died_as_a_whole(airflow_stack, scenarios):
    scenarios.end_of(killed_with_its_worker_after_the_record).the_one_video_of_the_second_try()


def test_a_retry_lands_the_file_that_a_killed_worker_had_begun(airflow_stack, scenarios):
    run = scenarios.end_of(killed_while_landing)
    result = run.the_one_video_of_the_second_try()
    assert run.finished_files() == [f"{result['request_id']}.mp4"]
    (bought,) = run.submissions
    assert bought["downloads"] == 2


def test_a_task_cleared_while_it_waits_takes_its_request_up_again(airflow_stack, scenarios):
    scenarios.end_of(cleared_while_deferred).the_one_video_of_the_second_try()


def test_a_task_cleared_while_it_waits_on_a_worker_takes_its_request_up_again(airflow_stack, scenarios):
    scenarios.end_of(cleared_while_running).the_one_video_of_the_second_try()


def test_a_task_cleared_while_it_runs_buys_anew_only_where_its_author_asked_for_it(airflow_stack, scenarios):
    anew = scenarios.end_of(cleared_while_running).sibling("anew")
    assert anew.task.state == "success", anew.logs()
    first, second = anew.purchases
    assert anew.video_of(second)["reused"] is False
    assert f"Abandoned request {first['request_id']} of an earlier try" in anew.log(2)


def test_a_task_cleared_after_its_success_returns_the_video_it_has(airflow_stack, scenarios):
    run = scenarios.end_of(cleared_after_its_success)
    result = run.the_one_video()
    assert (run.task.try_number, result["reused"]) == (2, True), run.logs()
    assert len(run.submissions) == 1


def test_a_cleared_run_buys_anew_only_where_its_author_asked_for_it(airflow_stack, scenarios):
    kept = scenarios.end_of(cleared_with_its_run)
    assert kept.the_one_video()["reused"] is True
    anew = kept.sibling("anew")
    assert anew.task.state == "success", anew.logs()
    first, second = anew.purchases
    assert anew.video_of(second)["reused"] is False
    assert f"{first['request_id']}.mp4" in anew.finished_files()


def test_a_task_that_the_scheduler_fails_for_an_early_event_buys_nothing_more(airflow_stack, scenarios):
    run = scenarios.end_of(failed_by_the_scheduler)
    (complaint,) = airflow_stack.airflow.api.events(run.dag_id, run.run_id, "state mismatch")
    assert "finished with state success, but the task instance's state attribute is running" in complaint
    result = run.the_one_video_of_the_second_try()
    assert run.finished_files() == [f"{result['request_id']}.mp4"]
