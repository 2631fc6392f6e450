"""Triggerers killed with -9 at each point of a wait; another one takes over, and nothing is bought again."""

from __future__ import annotations

import signal
import time

from scenario import Scenario

from local_airflow import TRIGGERER

# Of held_video: seconds from its deferral to its event.
HOLD = 15.0


def polled(run: Scenario) -> bool:
    (bought,) = run.submissions
    return bought["polls"] > 0


def held(run: Scenario) -> bool:
    """The trigger has read the result, and holds its event."""
    (bought,) = run.submissions
    return bought["results"] > 0


def test_a_restarted_triggerer_takes_up_what_was_polled_and_what_was_about_to_be_told(
    airflow_stack, triggerer, inference
):
    inference(20)
    polling = Scenario.begin(airflow_stack, "deferring_video")
    polling.submitted()
    inference(0.5)
    holding = Scenario.begin(airflow_stack, "held_video")
    holding.deferred()
    polling.until(polled, "look at the request")
    holding.until(held, "result in the trigger")
    assert [run.task.state for run in (polling, holding)] == ["deferred", "deferred"]
    triggerer.kill(TRIGGERER, tree=True)
    triggerer.start_component(TRIGGERER)
    for run in (polling, holding):
        run.ended().the_one_video_of_the_first_try()
    (bought,) = holding.submissions
    assert bought["results"] == 2, "the second triggerer had to read the result anew"


def test_another_triggerer_takes_over_from_one_that_died_polling_or_with_an_event_on_its_way(
    airflow_stack, triggerer, start_second, inference
):
    inference(30)
    polling = Scenario.begin(airflow_stack, "deferring_video")
    polling.submitted()
    inference(0.5)
    telling = Scenario.begin(airflow_stack, "held_video")
    first = telling.deferred()
    assert polling.deferred().triggerer == first.triggerer
    telling.until(held, "result in the trigger")
    # From here on nobody records what the triggers tell; they themselves go on.
    triggerer.kill(TRIGGERER, signal.SIGSTOP)
    assert telling.task.state == "deferred"
    start_second()
    time.sleep(max(0.0, first.deferred.timestamp() + HOLD + 1.0 - time.time()))
    telling.until(lambda run: triggerer.api.living_jobs("TriggererJob")[-1:] > [first.triggerer], "successor")
    triggerer.kill(TRIGGERER, tree=True)
    for run in (polling, telling):
        run.ended().the_one_video_of_the_first_try()
    assert triggerer.pids(TRIGGERER) == []
    (bought,) = telling.submissions
    assert bought["results"] == 2, "the first triggerer's event was recorded after all"
