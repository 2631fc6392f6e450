from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx import exceptions as e
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.protocol import read_submit, submit_request
from tests.unit.segmind.support import CONFIG, KEY, REQUEST_ID, response

HTML = b"<html><body><h1>405 Not Allowed</h1></body></html>"
UNBILLED = "Nothing was billed"
PERHAPS = "may exist and be billed"

# status, body, class, retryable, what the message must say
REFUSALS: list[tuple[int, Any, type[e.SegmindError], bool, str]] = [
    (300, b"", e.RequestRejected, False, "redirect"),
    (301, b"", e.RequestRejected, False, "redirect"),
    (308, HTML, e.RequestRejected, False, "redirect"),
    (400, {"error": "prompt is missing"}, e.RequestRejected, False, "prompt is missing"),
    (401, {"error": "Missing x-api-key in header"}, e.AuthenticationFailed, False, "key"),
    (401, {"error": "Unauthorized. API key is invalid"}, e.AuthenticationFailed, False, "key"),
    (402, {"error": "Insufficient credits. You have 0.0"}, e.InsufficientCredits, False, "have 0.0"),
    (402, b"", e.InsufficientCredits, False, "add credits"),
    (403, {"error": "model is private"}, e.AccessDenied, False, "private"),
    (403, HTML, e.AccessDenied, False, "did not reach the service"),
    (407, b"", e.AccessDenied, False, "HTTPS_PROXY"),
    (404, {"error": "Model not found"}, e.ModelNotFound, False, "'ltx-video'"),
    (404, HTML, e.ModelNotFound, False, "base URL"),
    (405, HTML, e.RequestRejected, False, "an HTML page"),
    (406, {"error": "Invalid content type. Use JSON"}, e.RequestRejected, False, "content type"),
    (406, {"error": "Insufficient credits"}, e.InsufficientCredits, False, "add credits"),
    (406, {"error": "Your balance is too low"}, e.InsufficientCredits, False, "add credits"),
    (406, {"error": "length must be one of 97, 129"}, e.RequestRejected, False, "97, 129"),
    (406, {"error": "Team spend limit exceeded"}, e.SpendLimitReached, False, "spend limit"),
    (406, {"error": "Team spend limit of 10 credits reached"}, e.SpendLimitReached, False, "spend limit"),
    (406, {"error": "Team limit reached"}, e.SpendLimitReached, False, "raise it"),
    (406, {"error": "Your team has reached its credit limit"}, e.SpendLimitReached, False, "raise it"),
    (406, {"error": "You are over your monthly budget"}, e.SpendLimitReached, False, "raise it"),
    (406, {"error": "steps is above the limit of 50"}, e.RequestRejected, False, "limit of 50"),
    (410, {"error": "retired"}, e.ModelRetired, False, "withdrawn"),
    (418, b"", e.RequestRejected, False, "418"),
    (422, {"detail": [{"loc": ["body", "cfg"], "msg": "too large"}]}, e.RequestRejected, False, "too large"),
    (429, {"error": "Too many requests"}, e.RateLimited, True, "safe"),
    (429, HTML, e.RateLimited, True, "safe"),
]  # fmt: skip

UNKNOWN: list[tuple[int, Any]] = [
    (200, b""),
    (200, HTML),
    (200, b"[]"),
    (200, b'["x"]'),
    (200, b"null"),
    (200, b'{"request_id": "47411f1'),
    (200, {}),
    (200, {"status": "QUEUED"}),
    (200, {"request_id": None}),
    (200, {"request_id": ""}),
    (200, {"request_id": "../../v1/get-user-credits"}),
    (200, {"request_id": "a" * 5000}),
    (200, b"\xff\xfe\x00"),
    (204, b""),
    (408, b""),
    (500, {"error": "internal"}),
    (502, HTML),
    (503, b""),
    (504, {"error": "timeout"}),
    (599, b""),
]


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("request_id", [REQUEST_ID, "0f8fad5b-d9cd-469f-a165-70867728950e", "a.b:c_d"])
def test_a_2xx_with_an_id_is_a_purchase(status: int, request_id: str) -> None:
    body = {"request_id": request_id, "status": "QUEUED", "status_url": "https://elsewhere/"}
    bought = read_submit(response(status, body), "ltx-video", sent_at=12.5)
    assert (bought.request_id, bought.model, bought.submitted_at) == (request_id, "ltx-video", 12.5)


@pytest.mark.parametrize(("status", "body", "kind", "retryable", "says"), REFUSALS)
def test_a_refusal_says_that_nothing_was_billed(
    status: int, body: Any, kind: type[e.SegmindError], retryable: bool, says: str
) -> None:
    with pytest.raises(e.SegmindError) as caught:
        read_submit(response(status, body), "ltx-video", sent_at=0)
    error = caught.value
    assert type(error) is kind
    assert error.retryable is retryable
    assert error.http_status == status
    assert UNBILLED in error.message
    assert says in error.message
    assert PERHAPS not in error.message
    assert "<" not in error.message


@pytest.mark.parametrize(("status", "body"), UNKNOWN)
def test_a_lost_answer_says_that_a_purchase_may_exist(status: int, body: Any) -> None:
    with pytest.raises(e.SubmitOutcomeUnknown) as caught:
        read_submit(response(status, body), "ltx-video", sent_at=0)
    assert caught.value.retryable is False
    assert caught.value.transient is False
    assert caught.value.http_status == status
    assert PERHAPS in caught.value.message
    assert UNBILLED not in caught.value.message
    assert len(caught.value.message) < 1500


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"request_id": 471147114711}),
        (200, {"id": "471147114711"}),
        (200, {"data": {"request_id": "471147114711"}}),
        (200, [{"request_id": "471147114711"}]),
        (200, {"request_id": "471147114711/x"}),
        (500, {"error": "timed out", "request_id": "471147114711"}),
    ],
)
def test_an_id_that_came_in_an_unexpected_way_is_told_to_the_reader(status: int, body: Any) -> None:
    with pytest.raises(e.SubmitOutcomeUnknown, match="471147114711"):
        read_submit(response(status, body), "ltx-video", sent_at=0)


@pytest.mark.parametrize(
    "text", ["prompt exceeds the token limit: limit exceeded", "white_balance must be one of a, b"]
)
def test_a_refused_value_is_not_taken_for_a_lack_of_money(text: str) -> None:
    with pytest.raises(e.RequestRejected):
        read_submit(response(406, {"error": text}), "m", sent_at=0)


def test_a_deep_answer_to_a_purchase_is_an_unknown_outcome_not_a_crash() -> None:
    body = b'{"error":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(e.SubmitOutcomeUnknown):
        read_submit(response(200, body), "m", sent_at=0)


def test_the_wait_of_a_429_is_carried_and_told() -> None:
    with pytest.raises(e.RateLimited, match="in 17 s") as caught:
        read_submit(response(429, {}, headers={"retry-after": "17"}), "m", sent_at=0)
    assert caught.value.retry_after == 17
    with pytest.raises(e.RateLimited) as caught:
        read_submit(response(429, {}), "m", sent_at=0)
    assert caught.value.retry_after is None


@pytest.mark.parametrize("status", [*{row[0] for row in REFUSALS}, 200, 500])
@pytest.mark.parametrize("shape", ["error", "detail", "list", "raw"])
def test_neither_key_nor_signature_is_repeated(status: int, shape: str) -> None:
    text = f"bad header x-api-key: {KEY}; cannot fetch https://bucket/a.png?X-Amz-Signature=SIGNED&k=1#frag"
    body: Any = {"list": {"detail": [{"msg": text}]}, "raw": text.encode()}.get(shape, {shape: text})
    with pytest.raises(e.SegmindError) as caught:
        read_submit(response(status, body), "m", sent_at=0)
    for said in (str(caught.value), repr(caught.value), caught.value.message):
        assert KEY not in said
        assert "SIGNED" not in said
    assert "https://bucket/a.png" in caught.value.message


def test_user_information_in_a_quoted_url_is_not_repeated() -> None:
    body = {"error": "cannot fetch https://joe:hunter2@host/a.png"}
    with pytest.raises(e.RequestRejected) as caught:
        read_submit(response(400, body), "m", sent_at=0)
    assert "hunter2" not in caught.value.message


def test_half_a_key_at_the_edge_of_a_long_body_is_not_repeated() -> None:
    body = b" " * 1990 + f"key {KEY}".encode()
    with pytest.raises(e.RequestRejected) as caught:
        read_submit(response(400, body), "m", sent_at=0)
    assert KEY[:5] not in caught.value.message


def test_an_endless_explanation_is_cut_to_one_short_line() -> None:
    with pytest.raises(e.RequestRejected) as caught:
        read_submit(response(400, {"error": "no\n" * 100_000}), "m", sent_at=0)
    assert len(caught.value.message) < 1000
    assert "\n" not in caught.value.message


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["error", "detail", "request_id", "status", "x"]), inner, max_size=4
            )
        ),
        max_leaves=8,
    ).map(lambda tree: json.dumps(tree).encode()),
)
def test_every_answer_is_a_purchase_or_one_of_the_errors(status: int, body: bytes) -> None:
    parsed = response(status, body).json_object()
    receipt = parsed is not None and isinstance(parsed.get("request_id"), str)
    lost = 200 <= status < 300 or status >= 500 or status in (408, 499) or receipt
    try:
        bought = read_submit(response(status, body), "m", sent_at=1)
    except e.SegmindError as error:
        is_lost = isinstance(error, e.SubmitOutcomeUnknown)
    else:
        is_lost = bought.request_id == json.loads(body)["request_id"] and 200 <= status < 300
    assert is_lost is lost


@pytest.mark.parametrize(
    "model", ["", "a/b", "../requests", "a b", "-x", ".hidden", "a?b", "a\n", "ä", "ltx-video/"]
)
def test_a_slug_that_would_be_another_path_is_refused_unsent(model: str) -> None:
    with pytest.raises(e.InvalidParameter, match="slug"):
        submit_request(CONFIG, model, {})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x", object()])
def test_what_json_cannot_carry_is_refused_unsent(value: object) -> None:
    with pytest.raises(e.InvalidParameter, match="Nothing was sent"):
        submit_request(CONFIG, "m", {"cfg": value})


def test_a_submit_is_a_post_of_the_flat_parameters_without_the_key() -> None:
    request = submit_request(
        ClientConfig(api_key=KEY, base_url="http://h/p"), "ltx-video", {"prompt": "é", "n": 1}
    )
    assert (request.method, request.url) == ("POST", "http://h/p/v2/ltx-video")
    assert json.loads(request.content or b"") == {"prompt": "é", "n": 1}
    assert KEY not in repr(request)
