"""A scheduler killed with -9 and started again, with one task deferred and two at work."""

from __future__ import annotations

import signal

import pytest
from scenario import Scenario

from local_airflow import SCHEDULER
from local_airflow.process_table import send


@pytest.fixture
def scheduler(airflow_stack):
    """The stack, whose scheduler may be killed; what its predecessors left behind is gone afterwards."""
    airflow = airflow_stack.airflow
    first, before = airflow.main_pid(SCHEDULER), set(airflow.pids(SCHEDULER))
    yield airflow
    airflow.revive(SCHEDULER)
    if airflow.main_pid(SCHEDULER) != first:
        # Workers wait for ever for a scheduler that was killed.
        send(before & set(airflow.pids(SCHEDULER)), signal.SIGKILL)


def test_a_scheduler_that_comes_back_buys_nothing_again(airflow_stack, scheduler):
    airflow_stack.emulator.configure(inference_seconds=12)
    try:
        waiting = Scenario.begin(airflow_stack, "deferring_video")
        surviving = Scenario.begin(airflow_stack, "working_video")
        dying = Scenario.begin(airflow_stack, "working_video")
        for run in (surviving, dying):
            run.recorded()
        waiting.deferred()
        # The machine ran out of memory: the scheduler goes, and one of its workers.
        scheduler.kill(SCHEDULER)
        dying.kill_task(supervisor=True)
        scheduler.start_component(SCHEDULER)
        for run in (waiting, surviving, dying):
            run.ended()
    finally:
        airflow_stack.emulator.configure(inference_seconds=2)
    for run in (waiting, surviving):
        run.the_one_video_of_the_first_try()
    dying.the_one_video_of_the_second_try()
