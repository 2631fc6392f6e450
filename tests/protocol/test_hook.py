"""The hook for people's own Python code, against the emulator over real sockets."""

from __future__ import annotations

import time

import pytest

from airflow_ltx.exceptions import RequestFailed, RequestNotFound, WaitTimeout
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.segmind.models import State
from segmind_service import connection

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


def test_a_key_that_the_service_refuses_is_told_without_it(segmind, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection(segmind.base_url, "SG_no_such_key"))
    ok, said = SegmindHook("other").test_connection()
    assert (ok, "API key is missing, wrong or expired" in said) == (False, True)
    assert "SG_no_such_key" not in said


def test_testing_the_connection_costs_nothing_and_says_what_a_person_needs(segmind, monkeypatch):
    assert SegmindHook().test_connection() == (
        True,
        "The key works. The workspace has $100.00. Nothing was billed.",
    )
    assert segmind.ledger.submissions == []
    ok, said = SegmindHook("no_such_connection").test_connection()
    assert not ok
    assert "Create a connection of type Segmind" in said
    monkeypatch.setenv("AIRFLOW_CONN_NOBODY", connection("http://127.0.0.1:9"))
    begun = time.monotonic()
    ok, said = SegmindHook("nobody").test_connection()
    assert not ok
    assert "No connection to 127.0.0.1:9" in said
    assert time.monotonic() - begun < 15
