"""The request history through the hook, against the emulator over real sockets."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_ltx.emulator import Settings, running_emulator
from airflow_ltx.exceptions import (
    InvalidParameter,
    RequestNotFound,
    RequestRejected,
    ServiceUnavailable,
    UnreadableResponse,
)
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.segmind.models import State
from airflow_ltx.segmind.retry import ONCE
from segmind_service import BLOCKED_WORD, KEY, connection

PROMPT = {"prompt": "a lighthouse at dusk", "seed": 7}


def bought(hook: SegmindHook, parameters=PROMPT, model="ltx-video") -> str:
    request = hook.submit(model, parameters)
    state = hook.status(request.request_id)
    while not state.state.finished:
        state = hook.status(request.request_id)
    return request.request_id


def test_a_request_is_found_with_all_that_is_known_of_it(segmind):
    hook = SegmindHook()
    request_id = bought(hook)
    entry = hook.history_entry(request_id)
    result = hook.result(request_id)
    assert (entry.request_id, entry.model, entry.state, entry.word) == (
        request_id, "ltx-video", State.COMPLETED, "COMPLETED",
    )  # fmt: skip
    assert entry.parameters == PROMPT
    assert entry.cost == result.metrics.cost == pytest.approx(segmind.ledger.billed_total())
    assert [output.url for output in entry.outputs] == [output.url for output in result.outputs]
    assert entry.latency == pytest.approx(0.07, abs=0.01)
    assert entry.created_at == pytest.approx(segmind.ledger.submissions[0].time, abs=0.001)
    assert entry.updated_at >= entry.created_at
    assert entry.error is None
    assert hook.history().entries == (entry,)


async def test_the_same_for_async_code(segmind):
    hook = SegmindHook()
    request = await hook.asubmit("ltx-video", PROMPT)
    await hook.await_request(request.request_id, 10, 0.05)
    entry = await hook.ahistory_entry(request.request_id)
    page = await hook.ahistory(model="ltx", status="COMPLETED", per_page=5)
    assert page.entries == (entry,)
    assert (page.page, page.per_page, page.rows, page.skipped, page.last) == (1, 5, 1, 0, True)


def test_a_request_of_any_age_is_found_when_its_record_is_gone(segmind):
    hook = SegmindHook()
    request_id = bought(hook)
    segmind.advance(40 * 86400)
    with pytest.raises(RequestNotFound):
        hook.result(request_id)
    assert hook.history_entry(request_id).outputs


@pytest.mark.parametrize("history_times", ["iso", "iso_offset", "iso_naive"])
def test_times_are_read_in_each_notation(segmind, history_times):
    segmind.configure(history_times=history_times)
    hook = SegmindHook()
    request_id = bought(hook)
    assert hook.history_entry(request_id).created_at == pytest.approx(
        segmind.ledger.submissions[0].time, abs=0.001
    )


def test_failed_and_running_requests_are_told_too(segmind):
    hook = SegmindHook()
    failed = bought(hook, {"prompt": f"{BLOCKED_WORD} and more"})
    segmind.configure(inference_seconds=60.0)
    running = hook.submit("ltx-video", PROMPT).request_id
    by_id = {entry.request_id: entry for entry in hook.history().entries}
    assert list(by_id) == [running, failed]
    assert (by_id[running].state, by_id[running].word) == (State.PROCESSING, "PENDING")
    assert not by_id[running].state.finished
    assert by_id[failed].state is State.FAILED
    assert by_id[failed].error
    assert by_id[failed].cost == 0
    for status, request_id in (("PENDING", running), ("FAILED", failed)):
        assert [entry.request_id for entry in hook.history(status=status).entries] == [request_id]


def test_a_row_that_is_filled_late_is_read_as_far_as_it_is(segmind):
    segmind.configure(record_lag_seconds=30.0)
    hook = SegmindHook()
    request_id = bought(hook)
    early = hook.history_entry(request_id)
    assert (early.state, early.parameters, early.cost, early.outputs) == (State.COMPLETED, None, None, ())
    segmind.advance(60)
    late = hook.history_entry(request_id)
    assert late.parameters == PROMPT
    assert late.cost > 0
    assert late.outputs


def test_a_row_that_comes_late_is_not_found_at_first(segmind):
    segmind.configure(history_lag_seconds=30.0)
    hook = SegmindHook()
    request_id = bought(hook)
    with pytest.raises(RequestNotFound, match="may appear some seconds after"):
        hook.history_entry(request_id)
    assert hook.history().entries == ()
    segmind.advance(60)
    assert hook.history_entry(request_id).request_id == request_id


def test_a_request_of_several_outputs_is_one_entry_of_its_page(segmind):
    segmind.configure(outputs=3)
    hook = SegmindHook()
    first, second = bought(hook), bought(hook)
    page = hook.history()
    assert [entry.request_id for entry in page.entries] == [second, first]
    assert (page.rows, page.last) == (6, True)
    assert [len(entry.outputs) for entry in page.entries] == [3, 3]
    assert sum(entry.cost for entry in page.entries) == pytest.approx(segmind.ledger.billed_total())
    assert not hook.history(per_page=6).last


def test_pages_and_filters_reach_the_service(segmind):
    hook = SegmindHook()
    ids = [bought(hook) for _ in range(3)] + [bought(hook, model="veo-3.1-fast")]
    assert [entry.request_id for entry in hook.history(page=2, per_page=3).entries] == [ids[0]]
    assert [entry.request_id for entry in hook.history(model="veo").entries] == [ids[3]]
    today = datetime.now(UTC).date()
    assert len(hook.history(since=today - timedelta(days=30), until=today).entries) == 4
    assert hook.history(until=today - timedelta(days=2)).entries == ()


def test_another_accounts_request_is_not_found(monkeypatch):
    with running_emulator(Settings(prerender=False, inference_seconds=0.05, queue_seconds=0.0)) as service:
        for name in ("MINE", "OTHER"):
            monkeypatch.setenv(f"AIRFLOW_CONN_{name}", connection(service.base_url, f"SG_{name}"))
        request_id = bought(SegmindHook("mine"))
        assert SegmindHook("mine").history_entry(request_id).request_id == request_id
        with pytest.raises(RequestNotFound, match="this key's own account") as caught:
            SegmindHook("other").history_entry(request_id)
        assert caught.value.request_id == request_id
        assert SegmindHook("other").history().entries == ()


@pytest.mark.parametrize("fault", ["reset", "503", "truncate:20", "garbage", "empty", "html"])
def test_a_lookup_goes_on_through_what_passes(segmind, fault):
    hook = SegmindHook()
    request_id = bought(hook)
    segmind.add_faults(f"history:before:{fault}*2")
    assert hook.history_entry(request_id).request_id == request_id
    segmind.add_faults(f"history:before:{fault}*2")
    assert [entry.request_id for entry in hook.history().entries] == [request_id]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("reset", ServiceUnavailable),
        ("503", ServiceUnavailable),
        ("truncate:20", ServiceUnavailable),
        ("garbage", UnreadableResponse),
        ("empty", UnreadableResponse),
        ("html", UnreadableResponse),
        ("html:404", UnreadableResponse),
        ("redirect:https://evil.example/", UnreadableResponse),
    ],
)
def test_a_lookup_that_fails_is_never_an_empty_page_nor_a_request_that_is_not_there(segmind, fault, kind):
    hook = SegmindHook()
    request_id = bought(hook)
    segmind.add_faults(f"history:before:{fault}*inf")
    client = hook.get_conn()
    for ask in (lambda: client.history(retry=ONCE), lambda: client.history_entry(request_id, retry=ONCE)):
        with pytest.raises(kind) as caught:
            ask()
        assert KEY not in caught.value.message


def test_a_question_that_cannot_be_asked_is_not(segmind):
    hook = SegmindHook()
    with pytest.raises(InvalidParameter, match="31 days"):
        hook.history(since=datetime.now(UTC).date() - timedelta(days=31))
    assert segmind.ledger.lookups == {}


def test_a_question_that_the_service_refuses_is_asked_once(segmind):
    segmind.add_faults("history:before:400:The date range is odd*inf")
    with pytest.raises(RequestRejected, match="date range is odd"):
        SegmindHook().history()
    assert len(segmind.ledger.faults) == 1


def test_the_history_may_live_on_a_host_of_its_own(segmind, monkeypatch):
    request_id = bought(SegmindHook())
    with running_emulator(Settings(prerender=False)) as gateway:
        fields = json.loads(connection(gateway.base_url))
        fields["extra"] = json.dumps({"history_url": segmind.base_url})
        monkeypatch.setenv("AIRFLOW_CONN_APART", json.dumps(fields))
        assert SegmindHook("apart").history_entry(request_id).request_id == request_id
        assert gateway.ledger.lookups == {}
