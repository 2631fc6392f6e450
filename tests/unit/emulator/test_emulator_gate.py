"""Keys, verbs, slugs, bodies, rate limits: what is refused, and with which words."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
from emulation import HISTORY, KEY, PROMPT, world

MISSING = {"error": "Missing Authorization or x-api-key in header"}
WRONG = {"error": "Unauthorized. API key is invalid or may have expired..."}
EVERY_KEYED = [
    ("POST", "/v2/ltx-video"),
    ("POST", "/v1/ltx-video"),
    ("GET", "/v2/requests/x/status"),
    ("GET", "/v2/requests/x"),
    ("GET", "/v1/requests/x"),
    ("GET", "/v1/get-user-credits"),
    ("GET", HISTORY),
    ("GET", f"{HISTORY}/x"),
    ("GET", "/inference-request/generations"),
    ("GET", "/inference-request/recent-generations"),
    ("GET", "/api/auth/authenticate"),
    ("POST", "/upload-asset"),
]


@pytest.mark.parametrize(("method", "path"), EVERY_KEYED)
def test_every_endpoint_wants_an_accepted_key_in_its_own_header(method, path):
    w = world(api_keys=frozenset({KEY}))
    assert (w.call(method, path, key="").status, w.call(method, path, key="").json()) == (401, MISSING)
    assert w.call(method, path, key="SG_wrong").json() == WRONG
    bearer = w.call(method, path, key="", authorization=f"Bearer {KEY}")
    assert (bearer.status, bearer.json()) == (401, WRONG)
    assert w.call(method, path).status != 401


def test_any_key_is_accepted_when_none_is_set():
    assert world().post(key="whatever").status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/ltx-video"),
        ("DELETE", "/v2/requests/x"),
        ("POST", "/v1/get-user-credits"),
        ("PUT", "/files/a.mp4"),
        ("POST", HISTORY),
        ("GET", "/upload-asset"),
        ("POST", "/assets/a.png"),
    ],
)
def test_a_wrong_verb_gets_the_one_answer_that_is_html(method, path):
    answer = world().call(method, path)
    assert answer.status == 405
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.body.startswith(b"<html>")


def test_slugs_that_are_not_served():
    w = world(retired=frozenset({"old-model"}), restricted=frozenset({"wan-2.2-t2v-fast"}))
    unknown = w.post(slug="no-such-model")
    assert unknown.status == 404
    assert unknown.json() == {
        "error": "Model no-such-model not found",
        "code": "MODEL_NOT_FOUND",
        "model": "no-such-model",
    }
    assert w.post(slug="old-model").status == 410
    assert w.post(slug="wan-2.2-t2v-fast").status == 403
    assert w.core.ledger.accepted() == []
    assert w.call("GET", "/nowhere").status == 404


def test_bodies_that_cannot_be_read():
    w = world()
    for headers in ({"content_type": ""}, {"content_type": "text/plain"}):
        answer = w.post(b"{}", **headers)
        assert answer.status == 406
        assert "Invalid content type" in answer.json()["error"]
    for body in (b"{", b"[1]", b'"text"', b""):
        assert w.post(body).status == 400
    assert w.post({"prompt": PROMPT}, content_type="application/json; charset=utf-8").status == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("aspect_ratio", "7:3"),
        ("aspect_ratio", None),
        ("target_size", 641),
        ("target_size", "640"),
        ("target_size", 640.0),
        ("length", 98),
        ("length", True),
    ],
)
def test_values_outside_a_fixed_set_are_refused_at_once(field, value):
    w = world()
    answer = w.post({"prompt": PROMPT, field: value})
    assert answer.status == 406
    assert field in answer.json()["error"]
    assert "credit" not in answer.json()["error"].lower()
    assert w.core.ledger.accepted() == []


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"prompt": ""}, "Prompt is required"),
        ({"prompt": None}, "Prompt is required"),
        ({"prompt": 5}, "prompt must be a string"),
        ({"negative_prompt": 5}, "negative_prompt must be a string"),
        ({"steps": 0}, "steps must be"),
        ({"steps": 51}, "steps must be"),
        ({"steps": 3.0}, "steps must be"),
        ({"cfg": 0.5}, "cfg must be"),
        ({"cfg": 20.1}, "cfg must be"),
        ({"cfg": "3"}, "cfg must be"),
        ({"seed": "1"}, "seed must be"),
        ({"seed": True}, "seed must be"),
        ({"image": "data:image/png;base64,AAAA"}, "image must be"),
        ({"image": "ftp://host/a.png"}, "image must be"),
        ({"image": "http://"}, "image must be"),
        ({"image": "https://unreachable.invalid/a.png"}, "image URL download failed"),
        ({"prompt": "an NSFW scene"}, "content moderation"),
    ],
)
def test_everything_else_is_accepted_and_then_fails_unbilled(parameters, error):
    w = world()
    request_id = w.submit(**parameters)
    w.clock.now += 60
    answer = w.status(request_id)
    assert answer.status == 422
    assert error in answer.json()["error"]
    assert w.core.ledger.billed_total() == 0
    assert w.core.ledger.purchases() == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"steps": 1, "cfg": 1, "seed": -1},
        {"steps": 50, "cfg": 20, "seed": None, "image": None},
        {"image": "https://host/a.png", "unknown": [1]},
        {"aspect_ratio": "21:9", "target_size": 1024, "length": 257, "cfg": 3.5},
    ],
)
def test_values_at_the_edges_complete(parameters):
    w = world()
    request_id = w.submit(**parameters)
    w.clock.now += 60
    assert w.status(request_id).json()["status"] == "COMPLETED"


def test_other_models_take_any_object():
    w = world()
    request_id = w.submit("wan-2.2-t2v-fast", num_frames=81, resolution="?", length=1)
    w.clock.now += 60
    assert w.status(request_id).json()["metrics"]["cost"] == 0.10


def test_a_sliding_window_limits_each_key():
    w = world(requests_per_minute=3)
    start = w.clock.now
    for offset in (0, 10, 20):
        w.clock.now = start + offset
        assert w.post().status == 200
    w.clock.now = start + 59.9
    refused = w.post()
    assert refused.status == 429
    assert "retry-after" not in refused.headers
    assert w.post(key="SG_other").status == 200
    w.clock.now = start + 60
    assert w.post().status == 200
    w.clock.now = start + 69.9
    assert w.post().status == 429
    w.clock.now = start + 70
    assert w.post().status == 200
    assert len(w.core.ledger.accepted()) == 6
    assert w.core.ledger.rate_limited == {"submit": 2}


@pytest.mark.parametrize("counted", [True, False])
def test_polls_count_towards_the_limit_unless_set_otherwise(counted):
    w = world(requests_per_minute=2, polls_count=counted)
    request_id = w.submit()
    codes = [w.status(request_id).status for _ in range(3)]
    assert codes == ([200, 429, 429] if counted else [200, 200, 200])


@pytest.mark.parametrize(
    ("form", "read"),
    [
        ("iso", lambda text: datetime.fromisoformat(text).timestamp()),
        ("iso_offset", lambda text: datetime.fromisoformat(text).timestamp()),
        ("iso_naive", lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()),
        ("epoch_s", float),
        ("epoch_ms", lambda text: float(text) / 1000),
        ("http_date", lambda text: parsedate_to_datetime(text).timestamp()),
    ],
)
def test_the_header_of_a_429_tells_the_end_of_the_wait(form, read):
    w = world(requests_per_minute=1, reset_format=form, retry_after=True)
    first = w.clock.now
    w.post()
    w.clock.now += 12
    answer = w.post()
    assert read(answer.headers["x-rate-limit-reset-at-utc"]) == first + 60
    assert answer.headers["retry-after"] == "48"


def test_the_three_iso_forms_differ_in_what_they_say_of_the_zone():
    texts = {}
    for form in ("iso", "iso_offset", "iso_naive"):
        w = world(requests_per_minute=1, reset_format=form)
        w.post()
        texts[form] = w.post().headers["x-rate-limit-reset-at-utc"]
    assert texts == {
        "iso": "2027-01-15T08:01:00.000Z",
        "iso_offset": "2027-01-15T13:31:00.000+05:30",
        "iso_naive": "2027-01-15T08:01:00.000",
    }


def test_the_header_can_be_left_out():
    w = world(requests_per_minute=1, reset_format="none")
    w.post()
    assert set(w.post().headers) == {"content-type"}
