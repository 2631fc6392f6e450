from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_ltx import exceptions as e
from airflow_ltx.segmind.history import HistoryQuery, read_history, read_history_entry
from airflow_ltx.segmind.models import HistoryEntry, HistoryPage, Output, State
from airflow_ltx.segmind.retry import ONCE
from tests.unit.segmind.support import CONFIG, KEY, KINDS, REQUEST_ID, Service, run
from tests.unit.segmind.support import response as answer

OTHER = "aa11bb22cc33dd44ee55ff6677889900"
URL = "https://images.segmind.com/v.mp4"
ROW = {
    "request_id": REQUEST_ID,
    "model_name": "ltx-video",
    "model_status": "COMPLETED",
    "credits_deduction": 0.0575,
    "request_body": {"prompt": "a lighthouse", "seed": 7},
    "generation_url": URL,
    "latency_ms": 54900,
    "created_at": "2026-08-02T10:00:00Z",
    "updated_at": "2026-08-02T10:00:55+00:00",
    "error": None,
}
ENTRY = HistoryEntry(
    request_id=REQUEST_ID,
    model="ltx-video",
    state=State.COMPLETED,
    word="COMPLETED",
    cost=0.0575,
    parameters={"prompt": "a lighthouse", "seed": 7},
    outputs=(Output(URL),),
    latency=54.9,
    created_at=1785664800.0,
    updated_at=1785664855.0,
)
QUERY = HistoryQuery(1, 20, {})


def page(rows: Any, *, status: int = 200) -> HistoryPage:
    return read_history(answer(status, {"data": rows}), QUERY)


def only(row: dict[str, Any]) -> HistoryEntry:
    (entry,) = page([row]).entries
    return entry


def test_a_row_is_read_whole() -> None:
    assert only(ROW) == ENTRY


@pytest.mark.parametrize("name", [name for name in ROW if name != "request_id"])
@pytest.mark.parametrize("value", [None, ..., [], {}, "", "?", -1, True, float("1e300")])
def test_no_field_but_the_id_has_to_be_there_or_to_make_sense(name: str, value: Any) -> None:
    row = {key: item for key, item in ROW.items() if key != name}
    entry = only(row if value is ... else {**row, name: value})
    assert entry.request_id == REQUEST_ID
    untouched = [field for field in ("cost", "latency", "model", "created_at") if getattr(entry, field)]
    assert len(untouched) >= 3


def test_a_row_of_nothing_but_an_id_is_a_request_of_which_nothing_is_known() -> None:
    entry = only({"request_id": REQUEST_ID})
    assert entry == HistoryEntry(REQUEST_ID)
    assert (entry.state, entry.state.finished, entry.word) == (State.UNKNOWN, False, "")


@pytest.mark.parametrize(
    ("field", "value", "name", "read"),
    [
        ("credits_deduction", "0.0575", "cost", 0.0575),
        ("credits_deduction", 0, "cost", 0.0),
        ("credits_deduction", 10**400, "cost", None),
        ("latency_ms", "1500", "latency", 1.5),
        ("latency_ms", 0.5, "latency", 0.0005),
        ("request_body", '{"prompt": "x"}', "parameters", {"prompt": "x"}),
        ("request_body", '{"prompt": ', "parameters", None),
        ("request_body", "[1]", "parameters", None),
        ("model_status", "PENDING", "state", State.PROCESSING),
        ("model_status", "pending", "state", State.PROCESSING),
        ("model_status", "FAILED", "state", State.FAILED),
        ("model_status", "completed", "state", State.COMPLETED),
        ("model_status", "ODD", "state", State.UNKNOWN),
        ("created_at", 1785664800, "created_at", 1785664800.0),
        ("created_at", "1785664800000", "created_at", 1785664800.0),
        ("created_at", "2026-08-02 10:00:00", "created_at", 1785664800.0),
        ("created_at", "yesterday", "created_at", None),
        ("error", {"message": "no"}, "error", "no"),
        ("error", ["a", "b"], "error", "a; b"),
        ("generation_url", [URL, URL, URL + "2"], "outputs", (Output(URL), Output(URL + "2"))),
        ("generation_url", json.dumps([URL]), "outputs", (Output(URL),)),
        ("generation_url", {"url": URL, "file_size": "5"}, "outputs", (Output(URL, file_size=5),)),
        ("generation_url", "javascript:alert(1)", "outputs", ()),
    ],
)
def test_values_are_read_as_services_write_them(field: str, value: Any, name: str, read: Any) -> None:
    assert getattr(only({**ROW, field: value}), name) == read


def test_the_services_column_for_sorting_is_a_creation_time_too() -> None:
    row = {key: value for key, value in ROW.items() if key != "created_at"}
    assert only({**row, "model_created": "2026-08-02T10:00:00Z"}).created_at == 1785664800.0
    assert only({**row, "created_at": None, "model_created": 1785664800}).created_at == 1785664800.0


def test_a_picture_that_was_sent_is_no_output() -> None:
    row = {**ROW, "generation_url": None, "request_body": {"image": URL}}
    assert only(row).outputs == ()


def test_what_a_row_quotes_holds_neither_key_nor_signature() -> None:
    entry = only({**ROW, "error": f"fetching https://h/x?sig=SIGNED with {KEY} failed", "model_status": KEY})
    assert "SIGNED" not in str(entry.error)
    assert KEY not in f"{entry.error} {entry.word}"


def test_signed_urls_are_in_no_text_form_of_an_entry() -> None:
    entry = only(
        {**ROW, "generation_url": URL + "?sig=SIGNED", "request_body": {"image": "https://h?SIGNED"}}
    )
    assert "SIGNED" not in repr(entry)


def test_the_rows_of_one_request_are_one_entry() -> None:
    second = {**ROW, "generation_url": URL + "2"}
    other = {**ROW, "request_id": OTHER}
    read = page([ROW, other, second])
    assert [entry.request_id for entry in read.entries] == [REQUEST_ID, OTHER]
    assert read.entries[0].outputs == (Output(URL), Output(URL + "2"))
    assert read.entries[0].cost == 0.0575
    assert (read.rows, read.skipped) == (3, 0)


def test_what_only_one_of_several_rows_tells_is_kept() -> None:
    bare = {"request_id": REQUEST_ID, "updated_at": "2026-08-02T10:02:00Z"}
    for rows in ([bare, ROW], [ROW, bare]):
        (entry,) = page(rows).entries
        assert entry.updated_at == 1785664920.0
        assert (entry.model, entry.cost, entry.parameters, entry.state, entry.word) == (
            "ltx-video", 0.0575, ENTRY.parameters, State.COMPLETED, "COMPLETED",
        )  # fmt: skip


@pytest.mark.parametrize("words", [("PENDING", "FAILED"), ("FAILED", "COMPLETED"), (None, "PENDING")])
def test_of_two_words_the_later_in_a_requests_life_holds(words: tuple[str | None, str]) -> None:
    rows = [{**ROW, "model_status": word} for word in words]
    assert page(rows).entries[0].word == page(rows[::-1]).entries[0].word == words[1]


@pytest.mark.parametrize(("rows", "last"), [(0, True), (19, True), (20, False)])
def test_the_last_page_is_told_by_its_rows_not_by_its_requests(rows: int, last: bool) -> None:
    assert page([ROW] * rows).last is last


@pytest.mark.parametrize("body", [{"data": []}, [], {"data": [], "total": 0}])
def test_a_page_without_rows_is_a_page(body: Any) -> None:
    assert read_history(answer(200, body), QUERY).entries == ()


def test_a_list_without_its_envelope_is_read() -> None:
    assert read_history(answer(200, [ROW]), QUERY).entries == (ENTRY,)


def test_a_row_without_an_id_is_counted_and_not_hidden() -> None:
    read = page([ROW, {**ROW, "request_id": None}, "?", None, {**ROW, "request_id": "../x"}])
    assert (len(read.entries), read.rows, read.skipped) == (1, 5, 4)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"5", b'"x"', b"{}", b"<html>", b'{"data": [', b"[" * 100_000,
        {"data": None}, {"data": {}}, {"data": "x"}, {"rows": []}, {"error": "no"},
        {"data": [{}]}, {"data": [None, {"request_id": 5}]},
    ],
)  # fmt: skip
def test_a_page_that_cannot_be_read_is_never_an_empty_one(body: Any) -> None:
    with pytest.raises(e.UnreadableResponse, match="free of charge") as caught:
        read_history(answer(200, body), QUERY)
    assert caught.value.transient


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, e.UnreadableResponse),
        (401, e.AuthenticationFailed),
        (403, e.AccessDenied),
        (404, e.UnreadableResponse),
        (429, e.RateLimited),
        (500, e.ServiceUnavailable),
        (503, e.ServiceUnavailable),
        (400, e.RequestRejected),
        (422, e.RequestRejected),
    ],
)
def test_a_history_that_is_refused_says_why(status: int, kind: type[e.SegmindError]) -> None:
    with pytest.raises(e.SegmindError, match="free of charge") as caught:
        read_history(answer(status, {"error": "no", "data": []}), QUERY)
    assert type(caught.value) is kind
    assert caught.value.http_status == status
    assert "balance" not in caught.value.message


def test_another_server_under_the_address_is_named_by_the_connections_field() -> None:
    with pytest.raises(e.UnreadableResponse, match="history_url"):
        read_history(answer(404, b"<html>"), QUERY)


@pytest.mark.parametrize("body", [ROW, {"data": ROW}, {"data": [ROW]}, [ROW]])
def test_one_request_is_read_in_each_envelope(body: Any) -> None:
    assert read_history_entry(answer(200, body), REQUEST_ID) == ENTRY


def test_a_row_that_does_not_repeat_its_id_is_the_one_that_was_asked_for() -> None:
    row = {key: value for key, value in ROW.items() if key != "request_id"}
    assert read_history_entry(answer(200, row), REQUEST_ID) == ENTRY


def test_an_id_written_with_dashes_is_the_same() -> None:
    dashed = "47411f11-0c6f-a4fe-05dc-b9ffed2c1962"
    assert read_history_entry(answer(200, {**ROW, "request_id": dashed.upper()}), REQUEST_ID) == ENTRY


def test_several_rows_of_one_request_are_joined() -> None:
    entry = read_history_entry(answer(200, {"data": [ROW, {**ROW, "generation_url": URL + "2"}]}), REQUEST_ID)
    assert [output.url for output in entry.outputs] == [URL, URL + "2"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", {}, [], {"data": None}, {"data": []}, {"data": {}}, {"message": "ok"},
        b'{"request_id": ', {"request_id": REQUEST_ID}, {**ROW, "request_id": OTHER},
        {"data": [ROW, {**ROW, "request_id": OTHER}]}, {"data": [ROW, None]},
        {"error": f"Request {REQUEST_ID} not found"},
    ],
)  # fmt: skip
def test_an_answer_that_is_not_the_requests_row_is_never_not_found(body: Any) -> None:
    with pytest.raises(e.UnreadableResponse) as caught:
        read_history_entry(answer(200, body), REQUEST_ID)
    assert caught.value.request_id == REQUEST_ID


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("body", [{"error": f"Request {REQUEST_ID} not found"}, {}, b"", b"not found"])
def test_not_found_is_said_of_this_keys_own_account(status: int, body: Any) -> None:
    with pytest.raises(e.RequestNotFound, match="own account") as caught:
        read_history_entry(answer(status, body), REQUEST_ID)
    assert caught.value.request_id == REQUEST_ID
    assert not caught.value.transient
    assert "one hour" not in caught.value.message


def test_a_web_page_that_says_404_knows_nothing_of_the_account() -> None:
    with pytest.raises(e.UnreadableResponse, match="history_url"):
        read_history_entry(answer(404, b"<!doctype html>not found"), REQUEST_ID)


@pytest.mark.parametrize(
    "body",
    [
        {"message": "Not Found"},
        {"detail": "Not Found"},
        {"message": "no Route matched with those values"},
        {"timestamp": "2026-01-01", "status": 404, "error": "Not Found", "message": "Not Found."},
        b"404 page not found",
        b"Cannot GET /inference-request/request-history/1",
    ],
)
def test_a_path_that_a_gateway_does_not_know_says_nothing_of_the_account(body: Any) -> None:
    with pytest.raises(e.UnreadableResponse, match="history_url"):
        read_history_entry(answer(404, body), REQUEST_ID)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("request_id", ["", "../credits", "a b", "x" * 300, None, 5])
def test_what_is_no_id_is_not_asked_for(kind: str, request_id: Any) -> None:
    service = Service([httpx.Response(200, json=ROW)])
    with pytest.raises(e.InvalidParameter):
        run(kind, service, lambda client: client.history_entry(request_id))
    assert service.requests == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_lookup_lasts_through_what_passes(kind: str) -> None:
    service = Service([httpx.ReadError("x"), httpx.Response(503), httpx.Response(200, json=ROW)])
    assert run(kind, service, lambda client: client.history_entry(REQUEST_ID)) == ENTRY
    assert {request.url.host for request in service.requests} == {"api.spotprod.segmind.com"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_question_is_not_asked_again(kind: str) -> None:
    service = Service([httpx.Response(400, json={"error": "bad dates"})])
    with pytest.raises(e.RequestRejected, match="bad dates"):
        run(kind, service, lambda client: client.history())
    assert len(service.requests) == 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
    | st.sampled_from([*ROW.values()]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
rows = st.dictionaries(st.sampled_from([*ROW, "model_created", "output"]), values, max_size=10) | values
bodies = (
    st.lists(rows, max_size=4) | st.fixed_dictionaries({"data": st.lists(rows, max_size=4) | rows}) | rows
)


@given(body=bodies, status=st.sampled_from([200, 200, 200, 204, 400, 404, 500]), kind=st.sampled_from(KINDS))
@example(body={"data": [{**ROW, "credits_deduction": 10**400}]}, status=200, kind="sync")
def test_whatever_is_answered_is_read_or_is_one_of_the_errors(body: Any, status: int, kind: str) -> None:
    content = json.dumps(body).encode()
    service = Service([httpx.Response(status, content=content)])
    for ask in (
        lambda client: client.history(retry=ONCE),
        lambda client: client.history_entry(REQUEST_ID, retry=ONCE),
    ):
        try:
            read = run(kind, service, ask)
        except e.SegmindError as error:
            assert type(error) is not e.ServiceUnavailable or status == 500, "a reader stumbled"  # noqa: PT017
            continue
        for entry in read.entries if isinstance(read, HistoryPage) else [read]:
            assert entry.cost is None or 0 <= entry.cost < 1e13
            for moment in (entry.created_at, entry.updated_at):
                assert moment is None or datetime.fromtimestamp(moment, UTC)


@given(st.lists(st.sampled_from([ROW, {**ROW, "request_id": OTHER}, {"request_id": OTHER}]), max_size=8))
def test_each_request_of_a_page_is_one_entry_of_it(found: list[dict[str, Any]]) -> None:
    read = page(found)
    assert [entry.request_id for entry in read.entries] == list(
        dict.fromkeys(row["request_id"] for row in found)
    )
    assert sum(entry.cost or 0 for entry in read.entries) <= 2 * 0.0575


@pytest.mark.parametrize("name", ["generation_url", "error", "request_body", "created_at", "model_status"])
def test_a_value_nested_as_deep_as_json_can_be_is_read(name: str) -> None:
    deep = json.dumps({"data": [{**ROW, name: "DEEP"}]}).replace('"DEEP"', "[" * 900 + "]" * 900)
    assert read_history(answer(200, deep.encode()), QUERY).entries[0].request_id == REQUEST_ID


def test_the_configuration_of_the_tests_is_segminds_own() -> None:
    assert CONFIG.history_entry_url(REQUEST_ID) == (
        f"https://api.spotprod.segmind.com/inference-request/request-history/{REQUEST_ID}"
    )
