from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from airflow_ltx import exceptions as e
from airflow_ltx.segmind.models import State
from airflow_ltx.segmind.protocol import (
    ApiResponse,
    read_credits,
    read_result,
    read_status,
    result_request,
    status_request,
)
from tests.unit.segmind.support import CONFIG, KEY, REQUEST_ID, response

HTML = b"<!doctype html><title>oops</title>"
FREE = "free of charge"
URL = "https://images.segmind.com/a.mp4"

Reader = Callable[[ApiResponse], Any]
READERS: dict[str, Reader] = {
    "status": partial(read_status, request_id=REQUEST_ID),
    "result": partial(read_result, request_id=REQUEST_ID),
    "credits": read_credits,
}

# status, body, class, transient, retryable
TABLE: list[tuple[int, Any, type[e.SegmindError], bool, bool]] = [
    (200, b"", e.UnreadableResponse, True, True),
    (200, HTML, e.UnreadableResponse, True, True),
    (200, b"[]", e.UnreadableResponse, True, True),
    (200, b'{"status": "COMPL', e.UnreadableResponse, True, True),
    (200, {}, e.UnreadableResponse, True, True),
    (200, {"status": None}, e.UnreadableResponse, True, True),
    (301, b"", e.UnreadableResponse, True, True),
    (302, HTML, e.UnreadableResponse, True, True),
    (400, {"error": "bad"}, e.UnreadableResponse, True, True),
    (401, {"error": "Unauthorized"}, e.AuthenticationFailed, False, False),
    (402, {"error": "Insufficient credits"}, e.UnreadableResponse, True, True),
    (403, {"error": "no"}, e.AccessDenied, False, False),
    (405, HTML, e.UnreadableResponse, True, True),
    (406, {"error": "Invalid content type"}, e.UnreadableResponse, True, True),
    (408, b"", e.ServiceUnavailable, True, True),
    (422, {"error": "no status in it"}, e.UnreadableResponse, True, True),
    (429, {"error": "slow down"}, e.RateLimited, True, True),
    (500, {"error": "internal"}, e.ServiceUnavailable, True, True),
    (502, HTML, e.ServiceUnavailable, True, True),
    (503, b"", e.ServiceUnavailable, True, True),
    (504, b"[]", e.ServiceUnavailable, True, True),
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("status", "body", "kind", "transient", "retryable"), TABLE)
def test_a_read_that_failed_says_that_it_costs_nothing(
    reader: str, status: int, body: Any, kind: type[e.SegmindError], transient: bool, retryable: bool
) -> None:
    with pytest.raises(e.SegmindError) as caught:
        READERS[reader](response(status, body))
    error = caught.value
    assert type(error) is kind
    assert (error.transient, error.retryable) == (transient, retryable)
    assert error.http_status == status
    assert FREE in error.message
    assert error.request_id == (None if reader == "credits" else REQUEST_ID)
    assert "<" not in error.message


@pytest.mark.parametrize("reader", ["status", "result"])
@pytest.mark.parametrize("body", [{"error": f"Request {REQUEST_ID} not found"}, {"error": "Not Found"}, b""])
@pytest.mark.parametrize("status", [404, 410])
def test_an_unknown_id_is_an_error_of_its_own(reader: str, body: Any, status: int) -> None:
    with pytest.raises(e.RequestNotFound, match="workspace") as caught:
        READERS[reader](response(status, body))
    assert caught.value.request_id == REQUEST_ID
    assert caught.value.transient is False


@pytest.mark.parametrize("reader", ["status", "result"])
@pytest.mark.parametrize(
    "body",
    [
        HTML,
        b"\r\n <html>404 Not Found</html>",
        {"message": "no Route matched with those values"},
        {"message": "no Route matched with those values", "request_id": "9f"},
        {"detail": "Not Found"},
        {"status": 404, "error": "Not Found", "message": "Not Found."},
        b"404 page not found",
        b"Cannot GET /v2/requests/x/status",
    ],
)
@pytest.mark.parametrize("status", [404, 410])
def test_a_gateways_404_says_nothing_of_the_request(reader: str, body: Any, status: int) -> None:
    with pytest.raises(e.UnreadableResponse, match="base URL") as caught:
        READERS[reader](response(status, body))
    assert caught.value.transient is True
    assert "workspace" not in caught.value.message


@pytest.mark.parametrize("status", [200, 201, 422])
@pytest.mark.parametrize("word", ["FAILED", "failed", " Failed "])
@pytest.mark.parametrize(
    ("explained", "reason"),
    [
        ({"error": "Prompt is required"}, "Prompt is required"),
        ({"detail": "Prompt is required"}, "Prompt is required"),
        ({"detail": ["too long", "too wide"]}, "too long; too wide"),
        ({"detail": [{"loc": ["body"], "msg": "too long"}]}, "too long"),
        ({"error": {"message": "broken"}}, "broken"),
        ({"error": None, "message": "broken"}, "broken"),
        ({"error": ""}, None),
        ({}, None),
    ],
)
def test_failed_is_read_from_the_body_whatever_the_code(
    status: int, word: str, explained: dict[str, Any], reason: str | None
) -> None:
    answer = response(status, {"status": word, "metrics": {"queue_time": 1}, **explained})
    seen = read_status(answer, REQUEST_ID)
    assert (seen.state, seen.error, seen.metrics.queue_time) == (State.FAILED, reason, 1)
    with pytest.raises(e.RequestFailed) as caught:
        read_result(answer, REQUEST_ID)
    assert type(caught.value) is e.RequestFailed
    assert caught.value.reason == reason
    assert "not billed" in caught.value.message
    assert caught.value.retryable is True


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_refused_reader_is_not_taken_for_a_failed_request(status: int) -> None:
    """A gateway may well say "failed" of the call; believed of the request, it buys a second one."""
    with pytest.raises((e.AuthenticationFailed, e.AccessDenied, e.RateLimited)):
        read_status(response(status, {"status": "failed", "message": "refused"}), REQUEST_ID)


@pytest.mark.parametrize(
    "text",
    [
        "Content policy violation",
        "blocked by content moderation",
        "The prompt was flagged as NSFW",
        "Responsible AI practices",
        "the safety filter was triggered",
        "contains sensitive content",
    ],
)
def test_a_content_block_is_not_retried(text: str) -> None:
    with pytest.raises(e.ContentBlocked, match="same input") as caught:
        read_result(response(422, {"status": "FAILED", "error": text}), REQUEST_ID)
    assert caught.value.retryable is False
    assert "not billed" in caught.value.message


@pytest.mark.parametrize("text", ["CUDA out of memory", "image URL download failed", "polling timeout"])
def test_other_failures_may_be_retried(text: str) -> None:
    with pytest.raises(e.RequestFailed) as caught:
        read_result(response(422, {"status": "FAILED", "error": text}), REQUEST_ID)
    assert type(caught.value) is e.RequestFailed
    assert caught.value.retryable is True


def test_a_failure_that_cost_money_says_so_and_promises_no_new_request() -> None:
    body = {"status": "FAILED", "error": "late", "metrics": {"cost": 0.05}}
    with pytest.raises(e.RequestFailed) as caught:
        read_result(response(422, body), REQUEST_ID)
    assert caught.value.cost == 0.05
    assert "$0.05" in caught.value.message
    assert "not billed" not in caught.value.message
    # The operator keeps the record of a billed failure, so a retry does not buy.
    assert "A retry submits a new request" not in caught.value.message


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("QUEUED", State.QUEUED),
        ("processing", State.PROCESSING),
        ("PENDING", State.UNKNOWN),
        ("IN_PROGRESS", State.UNKNOWN),
        ("CANCELED", State.UNKNOWN),
        ("UNKNOWN", State.UNKNOWN),
        ("ERROR", State.UNKNOWN),
        ("完成", State.UNKNOWN),
    ],
)
def test_words_but_the_two_last_ones_mean_still_running(word: str, state: State) -> None:
    seen = read_status(response(200, {"status": word, "metrics": {}}), REQUEST_ID)
    assert (seen.state, seen.word, seen.error) == (state, word, None)
    assert not seen.state.finished
    with pytest.raises(e.UnreadableResponse, match="not finished") as caught:
        read_result(response(200, {"status": word, "output": URL}), REQUEST_ID)
    assert caught.value.transient is True


@pytest.mark.parametrize("status", [200, 202, 422, 500])
def test_completed_is_read_from_the_body_whatever_the_code(status: int) -> None:
    body = {
        "status": "COMPLETED",
        "output": URL,
        "seed": "42",
        "metrics": {"cost": "0.05", "total_time": None},
    }
    assert read_status(response(status, body), REQUEST_ID).state is State.COMPLETED
    result = read_result(response(status, body), REQUEST_ID)
    assert [output.url for output in result.outputs] == [URL]
    assert (result.seed, result.metrics.cost, result.metrics.total_time) == (42, 0.05, None)


@pytest.mark.parametrize("metrics", [None, [], "x", 7, {"cost": "x"}, {"cost": True}, {"cost": [1]}])
def test_odd_metrics_are_no_metrics(metrics: Any) -> None:
    seen = read_status(response(200, {"status": "COMPLETED", "metrics": metrics}), REQUEST_ID)
    assert seen.metrics.cost is None


def test_numbers_that_are_none_are_not_taken_for_money() -> None:
    body = b'{"status": "COMPLETED", "metrics": {"cost": NaN, "queue_time": 1e999, "total_time": -Infinity}}'
    metrics = read_status(response(200, body), REQUEST_ID).metrics
    assert (metrics.cost, metrics.queue_time, metrics.total_time) == (None, None, None)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("status", [200, 400, 401, 403, 406, 429, 500])
def test_a_read_repeats_neither_key_nor_signature(reader: str, status: int) -> None:
    body = {"error": f"{KEY} may not read https://bucket/v.mp4?sig=SIGNED"}
    with pytest.raises(e.SegmindError) as caught:
        READERS[reader](response(status, body))
    assert not {KEY, "SIGNED"} & set(caught.value.message.replace("?", " ").split())
    assert KEY not in repr(caught.value)


def test_a_failure_repeats_neither_key_nor_signature() -> None:
    body = {"status": "FAILED", "error": f"{KEY}: no image at https://bucket/v.png?sig=SIGNED"}
    seen = read_status(response(422, body), REQUEST_ID)
    with pytest.raises(e.RequestFailed) as caught:
        read_result(response(422, body), REQUEST_ID)
    for said in (repr(seen), caught.value.message, caught.value.reason or ""):
        assert KEY not in said
        assert "SIGNED" not in said


@pytest.mark.parametrize("status_word", [KEY, "x" * 100_000, "RUN\nNING"])
def test_an_unknown_status_word_is_shown_like_other_words_of_the_service(status_word: str) -> None:
    """It stands in log lines, in the trigger's event and in error texts."""
    answer = response(200, {"status": status_word})
    seen = read_status(answer, REQUEST_ID)
    with pytest.raises(e.UnreadableResponse) as caught:
        read_result(answer, REQUEST_ID)
    for said in (seen.word, caught.value.message):
        assert KEY not in said
        assert len(said) < 600
        assert "\n" not in said


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("member", ["error", "status"])
@pytest.mark.parametrize("depth", [900, 100_000])
def test_a_deep_body_is_one_of_the_errors_not_a_crash(reader: str, member: str, depth: int) -> None:
    body = f'{{"status": "x", "{member}": {"[" * depth}{"]" * depth}}}'.encode()
    with contextlib.suppress(e.UnreadableResponse):
        READERS[reader](response(200, body))


@pytest.mark.parametrize(
    ("body", "balance", "free"),
    [
        ({"credits": 0.0, "free-credits": 0.0184921035}, 0.0, 0.0184921035),
        ({"credits": "12.5"}, 12.5, None),
        ({"credits": 3, "free-credits": None}, 3, None),
    ],
)
def test_the_balance(body: Any, balance: float, free: float | None) -> None:
    got = read_credits(response(200, body))
    assert (got.credits, got.free_credits) == (balance, free)


def test_a_workspace_without_a_balance_row_is_an_empty_account() -> None:
    assert read_credits(response(404, {"error": "No credits found for the user"})).credits == 0.0


@pytest.mark.parametrize(
    "body", [{"detail": "Not Found"}, {"error": "no route"}, {}, HTML, b"404 page not found"]
)
def test_any_other_404_is_no_balance(body: Any) -> None:
    """Otherwise the connection test calls every wrong base URL a good key."""
    with pytest.raises(e.UnreadableResponse, match="base URL"):
        read_credits(response(404, body))


@pytest.mark.parametrize("request_id", ["", "../x", "a/b", "a?b", "a b", "-x", "a" * 300, "ä", "a\n"])
@pytest.mark.parametrize("build", [status_request, result_request])
def test_an_id_that_would_be_another_path_is_refused_unsent(build: Any, request_id: str) -> None:
    with pytest.raises(e.InvalidParameter, match="request_id"):
        build(CONFIG, request_id)
