"""The hook for people's own Python code, against the emulator over real sockets."""

from __future__ import annotations

import time

import pytest

from airflow_ltx.exceptions import RequestFailed, RequestNotFound, WaitTimeout
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.segmind.models import State

PROMPT = {"prompt": "a lighthouse at dusk"}


def test_submit_look_wait_and_fetch(segmind):
    hook = SegmindHook()
    request = hook.submit("ltx-video", PROMPT)
    assert hook.status(request.request_id).state in (State.QUEUED, State.PROCESSING)
    result = hook.wait(request.request_id, timeout=10, poll_interval=0.05)
    assert result == hook.result(request.request_id)
    assert result.outputs[0].url.startswith(segmind.base_url)
    assert hook.status(request.request_id).state is State.COMPLETED
    assert hook.credits().credits == pytest.approx(100 - segmind.ledger.billed_total())


async def test_the_same_for_async_code(segmind):
    hook = SegmindHook()
    request = await hook.asubmit("ltx-video", PROMPT)
    result = await hook.await_request(request.request_id, 10, 0.05)
    assert result == await hook.aresult(request.request_id)
    assert (await hook.astatus(request.request_id)).state is State.COMPLETED
    assert (await hook.acredits()).credits < 100


def test_a_wait_that_ran_out_can_be_taken_up_with_the_id(segmind):
    segmind.configure(inference_seconds=0.5)
    hook = SegmindHook()
    request = hook.submit("ltx-video", PROMPT)
    with pytest.raises(WaitTimeout) as caught:
        hook.wait(request.request_id, timeout=0.1, poll_interval=0.05)
    assert caught.value.request_id == request.request_id
    assert hook.wait(caught.value.request_id, timeout=10, poll_interval=0.05).outputs
    assert len(segmind.ledger.submissions) == 1


def test_a_wait_of_no_time_looks_once(segmind):
    hook = SegmindHook()
    request = hook.submit("ltx-video", PROMPT)
    time.sleep(0.15)
    assert hook.wait(request.request_id, timeout=0).outputs
    assert segmind.ledger.submissions[0].polls == 1


def test_a_failure_and_an_unknown_id_are_told_apart(segmind):
    hook = SegmindHook()
    failing = hook.submit("ltx-video", {**PROMPT, "image": "https://unreachable.invalid/x.png"})
    with pytest.raises(RequestFailed, match="not billed"):
        hook.wait(failing.request_id, 10, 0.05)
    with pytest.raises(RequestNotFound, match="another workspace"):
        hook.wait("0" * 32, 10, 0.05)


async def test_the_same_wait_from_async_code_can_be_taken_up_too(segmind):
    segmind.configure(inference_seconds=0.5)
    hook = SegmindHook()
    request = await hook.asubmit("ltx-video", PROMPT)
    with pytest.raises(WaitTimeout, match="still running") as caught:
        await hook.await_request(request.request_id, 0.1, 0.05)
    assert caught.value.request_id == request.request_id
    assert caught.value.retryable
    assert (await hook.await_request(caught.value.request_id, 10, 0.05)).outputs
    assert len(segmind.ledger.submissions) == 1


def test_a_wait_looks_as_often_as_it_is_told_to(segmind):
    segmind.configure(inference_seconds=0.6, queue_seconds=0.0)
    hook = SegmindHook()
    request = hook.submit("ltx-video", PROMPT)
    hook.wait(request.request_id, timeout=10, poll_interval=0.2)
    assert 3 <= segmind.ledger.submissions[0].polls <= 5


def test_what_submit_returns_is_taken_for_its_id(segmind):
    hook = SegmindHook()
    request = hook.submit("ltx-video", {"prompt": "a lighthouse"})
    assert hook.status(request).request_id == request.request_id
    assert hook.wait(request, 20, 0.05) == hook.result(request) == hook.result(request.request_id)
    assert hook.history_entry(request).request_id == request.request_id
    assert len(segmind.ledger.submissions) == 1
