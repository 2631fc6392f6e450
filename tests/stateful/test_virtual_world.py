"""The world that the state machine plays in: its time, its deaths, and books that find what they are for."""

from __future__ import annotations

import time

import pytest

from airflow_ltx.durability.task_state import KEY
from tests.virtual.directing import LTX, play
from tests.virtual.processes import Killed, Process, running_as
from tests.virtual.tasks import Accident, State


@pytest.fixture
def world(stage):
    world = play(stage)
    yield world
    world.close()


def run_to_green(world, task):
    world.run(task)
    world.wait_for(task)
    world.run(task)
    assert task.state is State.SUCCESS


def forget(world, task):
    """As an operator's hand would."""
    task.kept.values.clear()
    for record in world.folder.rglob("_segmind/*.json"):
        record.unlink()


def test_a_task_is_bought_waited_for_and_landed_in_no_time(world):
    start = world.clock.now
    run_to_green(world, world.tasks[0])
    world.books.check()
    assert 2 < world.clock.now - start < 120
    (entry,) = world.service.core.ledger.accepted()
    assert (entry.downloads, entry.downloads_with_key) == (1, 0)


def test_the_pauses_of_a_landing_pass_in_no_time(world):
    start, begun = world.clock.now, time.monotonic()
    # Each is fifteen seconds before the next one, in the end.
    world.service.fault("download:before:reset*10")
    run_to_green(world, world.tasks[0])
    assert world.clock.now - start > 60
    assert time.monotonic() - begun < 30


def test_triggers_go_on_while_a_worker_waits(stage):
    world = play(stage)
    world.service.core.configure({"inference_seconds": 30.0})
    deferred, waiting = world.tasks[:2]
    world.run(deferred)
    waiting.build = lambda index: blocking(world, index)
    world.run(waiting)
    assert waiting.state is State.SUCCESS
    first, second = world.service.core.ledger.accepted()
    assert min(first.polls, second.polls) > 0
    world.close()


def blocking(world, index):
    operator, order = world._built(index)
    operator.deferrable = False
    return operator, order


def test_who_was_killed_leaves_the_disk_and_the_network_as_they_are(world, tmp_path):
    process = Process("a worker", dies_at=2)
    (tmp_path / "first").write_text("there")
    with running_as(process):
        (tmp_path / "second").write_text("there")
        for _ in range(2):
            with pytest.raises(Killed):
                (tmp_path / "first").unlink()
            with pytest.raises(Killed):
                world.clock.blocking.sleep(1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]
    assert world.clock.now == world.clock.started_at


def test_a_killed_leg_is_followed_by_another_try_as_long_as_there_is_one(world):
    task = world.tasks[0]
    for tries in (1, 2, 3):
        world.run(task, Accident(1))
        assert task.tries == tries
    assert task.state is State.FAILED
    world.clear(task)
    assert (task.state, task.max_tries) == (State.READY, 5)


@pytest.mark.parametrize("on_clear", ["reuse", "regenerate"])
def test_a_task_that_is_cleared_while_it_runs_counts_as_cleared(stage, on_clear):
    world = play(stage, deferrable=False, on_clear=on_clear)
    task = world.tasks[0]
    world.run(task, Accident(20, "clear"))
    assert world.books.purchases
    assert (task.state, task.max_tries) == (State.READY, 3)
    world.run(task)
    assert len(world.books.purchases) == (2 if on_clear == "regenerate" else 1)
    world.books.check()
    world.close()


def test_a_task_that_is_mapped_again_after_its_end_is_not_over_any_more(world):
    task = world.tasks[1]
    world.service.fault("submit:before:402")
    world.run(task)
    assert task.ended_for_good
    world.expand_to(1)
    world.expand_to(2)
    run_to_green(world, task)
    assert not task.ended_for_good


def test_the_books_find_a_second_purchase(world):
    task = world.tasks[0]
    world.run(task)
    world.give_up(task)
    forget(world, task)
    world.run(task)
    with pytest.raises(AssertionError, match="buys beside"):
        world.books.check()


def test_the_books_find_a_purchase_that_nobody_remembers(world):
    task = world.tasks[0]
    step = steps_until(world, f"answer to POST /v2/{LTX}")
    world.run(task, Accident(step))
    world.books.check()
    forget(world, task)
    with pytest.raises(AssertionError, match="is lost"):
        world.books.check()


def test_the_books_find_a_submit_without_a_recorded_intent(world, monkeypatch):
    monkeypatch.setattr("airflow_ltx.operators._attempt.Attempt.intend", lambda self, purchase: None)
    world.run(world.tasks[0])
    with pytest.raises(AssertionError, match="without a record of its intent"):
        world.books.check()


@pytest.mark.parametrize("damage", [b"", b"another film"])
def test_the_books_find_a_green_task_without_its_bytes(world, damage):
    task = world.tasks[0]
    run_to_green(world, task)
    (film,) = world.folder.glob("*.mp4")
    film.write_bytes(damage)
    with pytest.raises(AssertionError, match="does not hold the video"):
        world.books.check()


def test_the_books_find_a_task_that_gives_up_what_it_has_bought(world):
    task = world.tasks[0]
    world.run(task)
    task.ended_for_good = True
    with pytest.raises(AssertionError, match="was given up for good"):
        world.books.check_end(task)


def test_a_submit_can_arrive_when_nobody_waits_for_it_any_more(world):
    task = world.tasks[0]
    world.service.delayed.append(50.0)
    world.run(task)
    assert world.books.purchases == []
    world.wait_for(task)
    assert [purchase.task for purchase in world.books.purchases] == [task]
    world.run(task)
    world.wait_for(task)
    world.run(task)
    assert task.result["request_id"] == world.books.purchases[0].request_id


def test_a_record_is_kept_in_both_places(world):
    world.run(world.tasks[0])
    (record,) = world.folder.rglob("_segmind/*.json")
    assert KEY in world.tasks[0].kept.values
    assert world.books.purchases[0].request_id in record.read_text()


def steps_until(world, what):
    """The number of the step, found out on another task."""
    other = world.tasks[1]
    world.run(other)
    return other.process.steps.index(what) + 1
