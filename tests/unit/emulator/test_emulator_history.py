"""The history of requests: which rows there are, what they say, and for how long."""

from __future__ import annotations

import sys

import pytest
from emulation import BASE_URL, PROMPT, world

from airflow_ltx.emulator.faults import FaultRule

DAY = 86400.0
# The clock of these tests begins here.
START = "2027-01-15T08:00:00.000000Z"


def test_a_row_tells_what_was_asked_what_it_cost_and_where_the_video_is():
    w = world()
    request_id = w.submit(seed=7)
    w.clock.now += 60
    (row,) = w.rows()
    assert row == {
        "request_id": request_id,
        "model_name": "ltx-video",
        "model_status": "COMPLETED",
        "credits_deduction": 0.0525,
        "request_body": {"prompt": PROMPT, "seed": 7},
        "generation_url": w.result(request_id).json()["output"],
        "latency_ms": 60_000,
        "error": None,
        "model_created": START,
        "created_at": START,
        "updated_at": "2027-01-15T08:01:00.000000Z",
    }
    assert w.call("GET", row["generation_url"].removeprefix(BASE_URL), key="").file.request_id == request_id
    assert w.entry(request_id).json() == row


def test_a_request_that_has_not_ended_is_pending_and_has_no_outcome_yet():
    w = world()
    w.submit()
    for seconds, changed in ((9, "08:00:00"), (11, "08:00:10")):
        w.clock.now = 1_800_000_000.0 + seconds
        (row,) = w.rows()
        assert (row["model_status"], row["request_body"]) == ("PENDING", {"prompt": PROMPT})
        assert row["updated_at"] == f"2027-01-15T{changed}.000000Z"
        outcome = [row[key] for key in ("credits_deduction", "generation_url", "latency_ms", "error")]
        assert outcome == [None] * 4


def test_a_failure_has_a_row_with_its_words_and_costs_nothing():
    w = world()
    w.submit(steps=99)
    w.clock.now += 60
    (row,) = w.rows()
    assert (row["model_status"], row["credits_deduction"], row["generation_url"]) == ("FAILED", 0.0, None)
    assert row["error"] == "steps must be an integer between 1 and 50."
    assert row["latency_ms"] == 10_003


def test_the_synchronous_api_leaves_rows_too_and_a_refusal_none():
    w = world(inference_seconds=20.0)
    done = w.call("POST", "/v1/ltx-video", {"prompt": PROMPT})
    w.core.configure({"inference_seconds": 200.0})
    cut = w.call("POST", "/v1/ltx-video", {"prompt": PROMPT})
    assert w.post({"prompt": PROMPT, "length": 5}).status == 406
    w.clock.now += 300
    states = {row["request_id"]: (row["model_status"], row["error"]) for row in w.rows()}
    assert states == {
        done.request_id: ("COMPLETED", None),
        cut.request_id: ("FAILED", "Internal Polling Error"),
    }


def test_an_answer_that_was_lost_on_its_way_can_be_found_again():
    w = world(faults=(FaultRule("submit", "after", "reset"),))
    assert w.post({"prompt": PROMPT, "seed": 5}).reset
    w.clock.now += 60
    (row,) = w.rows()
    assert row["request_body"] == {"prompt": PROMPT, "seed": 5}
    assert w.status(row["request_id"]).json()["status"] == "COMPLETED"


def test_a_row_outlives_the_record_of_the_gateway():
    w = world()
    request_id = w.submit()
    url = w.rows()[0]["generation_url"]
    w.clock.now += 3600
    assert w.status(request_id).status == 404
    url = w.entry(request_id).json()["generation_url"]
    assert w.call("GET", url.removeprefix(BASE_URL), key="").status == 200
    w.clock.now += 400 * DAY
    assert w.entry(request_id).json()["request_id"] == request_id
    assert w.rows() == []


def test_only_the_own_accounts_requests_are_told():
    w = world()
    mine, theirs = w.submit(), w.post(key="SG_other").json()["request_id"]
    assert [row["request_id"] for row in w.rows()] == [mine]
    assert [row["request_id"] for row in w.rows(key="SG_other")] == [theirs]
    for request_id in (theirs, "0" * 32):
        answer = w.entry(request_id)
        assert (answer.status, answer.json()) == (404, {"error": f"Request {request_id} not found"})


def test_a_teammate_is_asked_for_by_id_or_by_address_and_a_stranger_not_at_all():
    w = world()
    request_id = w.submit()
    me = w.call("GET", "/api/auth/authenticate").json()
    assert [row["request_id"] for row in w.rows(user_id=me["user_id"])] == [request_id]
    assert [row["request_id"] for row in w.rows(user_email=me["email"])] == [request_id]
    assert w.history(key="SG_other", user_id=me["user_id"]).status == 403
    assert w.history(user_email="somebody@else.invalid").status == 403
    assert w.history(user_id=me["user_id"], user_email=me["email"]).status == 400


def test_several_outputs_are_several_rows_of_one_request():
    w = world(outputs=3)
    request_id = w.submit()
    assert len(w.rows()) == 1
    w.clock.now += 60
    rows = w.rows()
    assert {row["request_id"] for row in rows} == {request_id}
    assert {row["credits_deduction"] for row in rows} == {0.0525}
    urls = [row["generation_url"] for row in rows]
    plans = [w.call("GET", url.removeprefix(BASE_URL), key="").file for url in urls]
    assert len({plan.file_name for plan in plans}) == len({plan.note for plan in plans}) == 3
    assert w.result(request_id).json()["output"] == urls[0] == w.entry(request_id).json()["generation_url"]
    w.core.configure({"result_shape": "output_list"})
    assert w.result(request_id).json()["output"] == urls
    w.core.configure({"result_shape": "nested"})
    assert [video["url"] for video in w.result(request_id).json()["output"]["videos"]] == urls
    assert w.core.ledger.billed_total() == 0.0525


def test_rows_can_come_late():
    w = world(history_lag_seconds=90.0)
    request_id = w.submit()
    w.clock.now += 89
    assert w.status(request_id).json()["status"] == "COMPLETED"
    assert (w.rows(), w.entry(request_id).status) == ([], 404)
    w.clock.now += 1
    assert w.rows()[0]["credits_deduction"] == 0.0525
    assert w.entry(request_id).status == 200


def test_a_rows_fields_can_come_later_than_the_row():
    w = world(record_lag_seconds=5.0)
    request_id = w.submit()
    for seconds, body, url in ((4.9, False, False), (5, True, False), (60, True, False), (65, True, True)):
        w.clock.now = 1_800_000_000.0 + seconds
        row = w.entry(request_id).json()
        assert (row["request_body"] is not None, row["generation_url"] is not None) == (body, url)
        assert (row["credits_deduction"] is None) == (row["latency_ms"] is None) == (not url)
        assert row["model_status"] == ("PENDING" if seconds < 60 else "COMPLETED")
        assert row["created_at"] == START


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("iso", START),
        ("iso_offset", "2027-01-15T13:30:00.000000+05:30"),
        ("iso_naive", "2027-01-15T08:00:00.000000"),
    ],
)
def test_times_are_written_as_set(form, text):
    w = world(history_times=form)
    w.submit()
    assert {w.rows()[0][key] for key in ("model_created", "created_at", "updated_at")} == {text}


def test_without_dates_the_last_week_is_told_and_older_days_on_request():
    w = world()
    ids = []
    for _ in range(10):
        ids.append(w.submit())
        w.clock.now += DAY
    # Ten days later: the 15th is the first of them, the 25th is today.
    shown = {row["request_id"] for row in w.rows(per_page=100)}
    assert shown == set(ids[3:])
    assert {row["request_id"] for row in w.rows(from_date="2027-01-16", to_date="2027-01-17")} == set(
        ids[1:3]
    )
    assert {row["request_id"] for row in w.rows(to_date="2027-01-15")} == {ids[0]}
    assert {row["request_id"] for row in w.rows(from_date="2027-01-24")} == {ids[9]}


def test_a_day_begins_and_ends_at_midnight_utc():
    w = world()
    w.clock.now = 1_800_000_000.0 + 16 * 3600 - 0.001
    last_of_day = w.submit()
    w.clock.now += 0.001
    first_of_day = w.submit()
    for day, request_id in (("2027-01-15", last_of_day), ("2027-01-16", first_of_day)):
        assert [row["request_id"] for row in w.rows(from_date=day, to_date=day)] == [request_id]


def test_rows_are_picked_by_model_and_by_state():
    w = world()
    running = w.submit("wan2.1-t2v")
    failed = w.submit(steps=0)
    w.clock.now += 30
    done = [w.submit("wan-2.2-t2v-fast", x=n) for n in range(2)]
    w.core.configure({"inference_seconds": 500.0})
    late = w.submit("ltx-2-fast")
    w.clock.now += 60
    ids = {"every": {running, failed, late, *done}}
    assert {row["request_id"] for row in w.rows()} == ids["every"]
    assert {row["request_id"] for row in w.rows(model_name="wan")} == {running, *done}
    assert {row["request_id"] for row in w.rows(model_name="ltx-2-fast")} == {late}
    assert w.rows(model_name="LTX") == []
    assert {row["request_id"] for row in w.rows(status="FAILED")} == {failed}
    assert {row["request_id"] for row in w.rows(status="PENDING")} == {late}
    assert {row["request_id"] for row in w.rows(status="COMPLETED", model_name="fast")} == set(done)


def test_rows_are_sorted_newest_first_unless_asked_otherwise():
    w = world()
    ids = [w.submit(slug) for slug in ("wan2.1-t2v", "ltx-2-fast", "ltx-video")]
    w.clock.now += 60

    def order(**query):
        return [ids.index(row["request_id"]) for row in w.rows(**query)]

    assert order() == order(sort_by="model_created", sort_order="desc") == [2, 1, 0]
    assert order(sort_order="asc") == [0, 1, 2]
    assert order(sort_by="model_name", sort_order="asc") == [1, 2, 0]
    assert order(sort_by="model_name") == [0, 2, 1]
    assert order(sort_by="credits_deduction") == [0, 1, 2]
    assert order(sort_by="credits_deduction", sort_order="asc") == [2, 1, 0]


def test_a_page_says_where_it_is():
    w = world()
    for _ in range(25):
        w.submit()
    first, second, beyond = (w.history(page=page).json() for page in (1, 2, 3))
    assert [len(page["data"]) for page in (first, second, beyond)] == [20, 5, 0]
    assert {key: second[key] for key in second if key != "data"} == {
        "page": 2,
        "per_page": 20,
        "total": 25,
        "total_pages": 2,
    }
    assert len(w.rows(per_page=100)) == 25


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"page": 0}, "page"),
        ({"page": "one"}, "page"),
        ({"page": "9" * 5000}, "page"),
        ({"per_page": 0}, "at most 100"),
        ({"per_page": 101}, "at most 100"),
        ({"per_page": "1.5"}, "per_page"),
        ({"status": "QUEUED"}, "COMPLETED, FAILED, PENDING"),
        ({"status": "completed"}, "COMPLETED, FAILED, PENDING"),
        ({"sort_by": "latency_ms"}, "sort_by"),
        ({"sort_order": "up"}, "sort_order"),
        ({"from_date": "15.01.2027"}, "YYYY-MM-DD"),
        ({"from_date": "2027-1-15"}, "YYYY-MM-DD"),
        ({"to_date": "2027-02-30"}, "YYYY-MM-DD"),
        ({"to_date": "0001-01-01"}, "YYYY-MM-DD"),
        ({"from_date": "2027-01-16", "to_date": "2027-01-15"}, "after"),
        ({"from_date": "2026-12-15"}, "31 days"),
        ({"from_date": "2026-01-01", "to_date": "2026-02-01"}, "31 days"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_a_reason(query, words):
    answer = world().history(**query)
    assert answer.status == 400
    assert words in answer.json()["error"]


def test_a_window_of_31_days_is_the_longest():
    w = world()
    assert w.history(from_date="2026-12-16", to_date="2027-01-15").status == 200
    assert w.history(from_date="2026-01-01", to_date="2026-01-31").status == 200


def test_questions_about_the_past_are_counted_and_faults_reach_them():
    w = world(
        faults=(
            FaultRule("history", "before", "503"),
            FaultRule("history", "after", "status:ARCHIVED"),
            FaultRule("generations", "before", "html"),
        )
    )
    request_id = w.submit()
    w.clock.now += 60
    assert w.history().status == 503
    assert w.rows()[0]["model_status"] == "ARCHIVED"
    assert w.rows()[0]["model_status"] == "COMPLETED"
    assert w.call("GET", "/inference-request/generations").body.startswith(b"<html>")
    w.core.set_faults([FaultRule("history", "after", "status:GONE", match=request_id)])
    assert w.rows()[0]["model_status"] == "COMPLETED"
    assert w.entry(request_id).json()["model_status"] == "GONE"
    assert w.core.ledger.lookups == {"history": 4}
    assert w.core.ledger.to_json()["lookups"] == {"history": 4}
    assert w.core.ledger.of(request_id).polls == 0


def test_ten_thousand_requests_do_not_make_a_poll_longer_nor_a_page_dearer_than_a_look_at_each():
    few, many = world(), world(credits=10_000.0)
    one, *_ = [many.submit() for _ in range(10_000)]
    other = few.submit()
    for w in (few, many):
        w.clock.now += 60
    assert calls(lambda: many.status(one)) == calls(lambda: few.status(other))
    assert calls(lambda: many.rows(per_page=100)) < 5 * 10_000


def calls(action):
    """How many functions are called, a measure that no busy machine changes."""
    count = 0

    def called(_, event, __):
        nonlocal count
        count += event == "call"

    action()  # what happens once only is not counted
    sys.setprofile(called)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count
