"""The trigger, run as a triggerer runs it, against the emulator over real sockets."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.triggers.event import RequestEvent
from airflow_ltx.triggers.segmind import SegmindRequestTrigger


async def fire(trigger: SegmindRequestTrigger) -> RequestEvent:
    async for event in trigger.run():
        return RequestEvent.from_payload(json.loads(json.dumps(event.payload)))
    raise AssertionError("no event")


@pytest.fixture
def bought(segmind):
    return SegmindHook().submit("ltx-video", {"prompt": "a lighthouse at dusk"})


def test_an_id_and_a_connection_are_enough():
    trigger = SegmindRequestTrigger("the-id", "segmind_default")
    path, kwargs = trigger.serialize()
    assert path == "airflow_ltx.triggers.segmind.SegmindRequestTrigger"
    assert kwargs["deadline"] == pytest.approx(time.time() + 1200, abs=5)
    assert SegmindRequestTrigger(**json.loads(json.dumps(kwargs))).serialize() == (path, kwargs)


async def test_it_fires_the_result(segmind, bought):
    event = await fire(SegmindRequestTrigger(bought.request_id, poll_interval=0.05))
    assert (event.status, event.request_id) == ("completed", bought.request_id)
    assert event.result == SegmindHook().result(bought.request_id)


async def test_running_it_again_buys_nothing(segmind, bought):
    trigger = SegmindRequestTrigger(bought.request_id, poll_interval=0.05)
    events = [await fire(SegmindRequestTrigger(**trigger.serialize()[1])) for _ in range(3)]
    assert {event.status for event in events} == {"completed"}
    assert len(segmind.ledger.submissions) == 1


async def test_a_restart_does_not_begin_the_deadline_anew(segmind, bought):
    segmind.configure(inference_seconds=60)
    request = SegmindHook().submit("ltx-video", {"prompt": "a longer one"})
    trigger = SegmindRequestTrigger(request.request_id, deadline=time.time() + 0.3, poll_interval=0.1)
    task = asyncio.create_task(fire(trigger))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    begun = time.monotonic()
    event = await fire(SegmindRequestTrigger(**trigger.serialize()[1]))
    assert event.status == "timeout"
    assert time.monotonic() - begun < 2


async def test_the_event_is_held_until_it_may_go_out(segmind, bought):
    moment = time.time() + 0.6
    event = await fire(SegmindRequestTrigger(bought.request_id, poll_interval=0.05, not_before=moment))
    assert event.status == "completed"
    assert moment <= time.time() < moment + 5


async def test_a_missing_connection_ends_with_the_deadline_and_not_with_a_traceback(segmind):
    trigger = SegmindRequestTrigger(
        "the-id", "no_such_connection", deadline=time.time() + 0.2, poll_interval=0.05
    )
    event = await fire(trigger)
    assert event.status == "denied"
    assert "no_such_connection" in str(event.reason)


async def test_something_unforeseen_still_wakes_the_task(segmind, bought, monkeypatch):
    async def broken(self, **options):
        raise ZeroDivisionError

    monkeypatch.setattr(SegmindHook, "aget_conn", broken)
    event = await fire(SegmindRequestTrigger(bought.request_id))
    assert (event.status, event.reason) == ("error", "ZeroDivisionError")


async def test_arguments_of_a_newer_version_are_named_and_ignored(segmind, bought, capsys):
    trigger = SegmindRequestTrigger(bought.request_id, poll_interval=0.05, land_in="triggerer")
    assert (await fire(trigger)).status == "completed"
    assert "Ignored arguments of another version: land_in" in capsys.readouterr().out


async def test_a_person_who_ends_the_task_is_told_that_nothing_is_cancelled(bought, capsys):
    await SegmindRequestTrigger(bought.request_id).on_kill()
    assert "no way to cancel it" in capsys.readouterr().out


async def test_a_person_who_ends_the_task_of_a_completed_request_is_told_that_it_is_paid_for(bought, capsys):
    trigger = SegmindRequestTrigger(bought.request_id, poll_interval=0.05)
    await fire(trigger)
    await trigger.on_kill()
    told = capsys.readouterr().out
    assert f"request {bought.request_id} was being fetched. The request is completed and billed" in told
    assert "no way to cancel it" not in told


async def test_a_person_who_ends_the_task_of_a_failed_request_is_not_told_that_it_is_under_way(
    segmind, capsys
):
    segmind.add_faults("submit:after:fail")
    request = SegmindHook().submit("ltx-video", {"prompt": "a lighthouse"})
    trigger = SegmindRequestTrigger(request.request_id, poll_interval=0.05)
    assert (await fire(trigger)).status == "failed"
    await trigger.on_kill()
    told = capsys.readouterr().out
    assert f"The task was ended while request {request.request_id} was over already" in told
    assert "is under way" not in told


async def test_five_hundred_waits_share_one_client_and_do_not_block_the_loop(segmind):
    """The whole pool of a busy triggerer, on one connection pool and one reading of the connection."""
    requests = [SegmindHook().submit("ltx-video", {"prompt": f"scene {number}"}) for number in range(20)]
    await fire(SegmindRequestTrigger(requests[0].request_id, poll_interval=0.05))
    longest = 0.0

    async def heartbeat() -> None:
        nonlocal longest
        while True:
            # Of the processor's time, since a loop that waits for a processor is not blocked.
            begun = time.thread_time()
            await asyncio.sleep(0.01)
            longest = max(longest, time.thread_time() - begun)

    beat = asyncio.create_task(heartbeat())
    events = await asyncio.gather(
        *(fire(SegmindRequestTrigger(requests[n % 20].request_id, poll_interval=1)) for n in range(500))
    )
    beat.cancel()
    assert {event.status for event in events} == {"completed"}
    # A client per wait would block the loop for ten seconds here.
    assert longest < 1.0
