"""A worker, or the triggerer, dies at each of its steps in turn: a later one has the video, paid once."""

from __future__ import annotations

import pytest

from tests.virtual.directing import ANY_MODEL, LTX, play
from tests.virtual.tasks import Accident, State

MANY = 200


def to_the_end(world, task, tries=4):
    """Whatever Airflow would do, and a person who clears what failed; whether it becomes green."""
    for _ in range(20):
        if task.state is State.SUCCESS:
            return True
        if task.state is State.DEFERRED:
            world.wait_for(task)
        elif task.state is State.READY:
            world.run(task)
        elif task.tries < tries:
            world.clear(task)
        else:
            return False
    raise AssertionError(f"{task.name} comes to no end: {world.told[-5:]}")


def bought(world):
    return [purchase.request_id for purchase in world.books.purchases]


@pytest.mark.parametrize("how", ["kill", "term", "timeout", "clear"])
@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.parametrize("model", [LTX, ANY_MODEL])
@pytest.mark.parametrize("on_orphaned_intent", ["fail", "resubmit"])
def test_a_worker_that_dies_at_any_step_of_any_leg_is_followed_by_one_purchase(
    stage, on_orphaned_intent, model, remembers, deferrable, how
):
    deaths, unsent = 0, 0
    for leg in range(2 if deferrable else 1):
        for step in range(1, MANY):
            world = play(
                stage,
                model=model,
                remembers=remembers,
                deferrable=deferrable,
                on_orphaned_intent=on_orphaned_intent,
            )
            task = world.tasks[0]
            for _ in range(leg):
                world.run(task)
                world.wait_for(task)
            world.run(task, Accident(step, how))
            ended = task.process
            if to_the_end(world, task):
                assert bought(world) == [task.result["request_id"]], ended.steps
            else:
                # Its intent is on record, and nobody can know that it was not sent.
                assert (bought(world), on_orphaned_intent) == ([], "fail"), ended.steps
                unsent += 1
            world.books.check()
            world.close()
            if not ended.met_its_end:
                break
            deaths += 1
        else:
            raise AssertionError("a leg without an end")
    assert deaths > 20
    assert (unsent > 0) is (on_orphaned_intent == "fail")


@pytest.mark.parametrize("how", ["kill", "timeout"])
@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("model", [LTX, ANY_MODEL])
def test_a_worker_that_dies_while_a_lost_answer_is_looked_for_is_followed_by_one_that_finds_it(
    stage, model, deferrable, how
):
    for leg in range(3 if deferrable else 1):
        for step in range(1, MANY):
            world = play(stage, model=model, deferrable=deferrable)
            task = world.tasks[0]
            world.service.fault("submit:after:reset")
            # Long enough for a deferral of each kind.
            world.service.core.configure({"history_lag_seconds": 20.0})
            if deferrable:
                world.service.core.configure({"inference_seconds": 100.0})
            for _ in range(leg):
                world.run(task)
                world.wait_for(task)
            was_bought = bool(bought(world))
            world.run(task, Accident(step, how))
            ended = task.process
            was_bought = was_bought or f"POST /v2/{model}" in ended.steps[:-1]
            if was_bought:
                assert to_the_end(world, task), ended.steps
                assert bought(world) == [task.result["request_id"]], ended.steps
            world.books.check()
            world.close()
            if not ended.met_its_end:
                break
        else:
            raise AssertionError("a leg without an end")
        assert step > 10


@pytest.mark.parametrize("fault", ["history:before:503*inf", "history:after:truncate:60*inf"])
@pytest.mark.parametrize("model", [LTX, ANY_MODEL])
def test_a_worker_that_dies_without_the_answer_fails_while_the_history_is_broken_and_buys_nothing(
    stage, model, fault
):
    for step in range(1, MANY):
        world = play(stage, model=model)
        task = world.tasks[0]
        world.run(task, Accident(step))
        if f"answer to POST /v2/{model}" in task.process.steps:
            break
        world.close()
    assert len(bought(world)) == 1
    world.service.fault(fault)
    for _ in range(8):
        if task.state is State.READY:
            world.run(task)
        elif task.state is State.DEFERRED:
            world.wait_for(task)
    world.books.check()
    assert task.state is State.FAILED
    assert not task.ended_for_good
    assert any(
        "could not be read" in line and "nothing was bought in its place" in line for line in world.told
    )
    world.service.heal()
    assert to_the_end(world, task, tries=5)
    assert bought(world) == [task.result["request_id"]]
    world.close()


@pytest.mark.parametrize("lost_answer", [False, True])
@pytest.mark.parametrize("model", [LTX, ANY_MODEL])
def test_a_triggerer_that_dies_at_any_step_is_followed_by_one_that_ends_the_wait(stage, model, lost_answer):
    for step in range(1, MANY):
        world = play(stage, model=model)
        task = world.tasks[0]
        if lost_answer:
            world.service.core.configure({"history_lag_seconds": 20.0})
            world.service.fault("submit:after:reset")
        world.triggerer.start(step)
        first = world.triggerer.process
        world.run(task)
        assert to_the_end(world, task)
        world.books.check()
        assert (bought(world), task.tries) == ([task.result["request_id"]], 1)
        world.close()
        if not first.met_its_end:
            break
    assert 5 < step < MANY - 1
