"""Whatever was submitted, failed and bought: the history holds all of it, once, and adds up to the bill."""

from __future__ import annotations

from emulation import KEY, PROMPT, world
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_ltx.emulator.pricing import to_micros

KEYS = (KEY, "SG_second")

steps = st.one_of(
    st.tuples(
        st.just("submit"),
        st.sampled_from(KEYS),
        st.sampled_from(["ltx-video", "ltx-2-fast", "wan2.1-t2v"]),
        st.sampled_from([{"prompt": PROMPT}, {"prompt": ""}, {"prompt": PROMPT, "steps": 0}]),
    ),
    st.tuples(st.just("sync"), st.sampled_from(KEYS), st.just("ltx-video"), st.just({"prompt": PROMPT})),
    # Requests at one moment tie; the longest waits stay within the usual week.
    st.tuples(st.just("wait"), st.just(""), st.just(""), st.sampled_from([0.0, 5.0, 70.0, 4000.0])),
)
questions = st.fixed_dictionaries(
    {},
    optional={
        "sort_by": st.sampled_from(["model_created", "model_name", "credits_deduction"]),
        "sort_order": st.sampled_from(["asc", "desc"]),
        "status": st.sampled_from(["COMPLETED", "FAILED", "PENDING"]),
        "model_name": st.sampled_from(["ltx", "2", "wan2.1-t2v", "none"]),
    },
)


def play(script, **given_settings):
    w = world(queue_seconds=(0.0, 20.0), inference_seconds=(1.0, 80.0), credits=50.0, **given_settings)
    for kind, key, slug, argument in script:
        if kind == "wait":
            w.clock.now += argument
        else:
            w.call("POST", f"/{'v2' if kind == 'submit' else 'v1'}/{slug}", argument, key=key)
    return w


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, max_size=40), questions, st.integers(1, 7), st.integers(1, 3))
def test_pages_are_the_whole_in_pieces(script, question, per_page, outputs):
    w = play(script, outputs=outputs)
    whole = w.every_row(per_page=100, **question)
    pieces = w.every_row(per_page=per_page, **question)
    assert pieces == whole
    assert w.history(per_page=per_page, **question).json()["total"] == len(whole)
    assert len({(row["request_id"], row["generation_url"]) for row in whole}) == len(whole)
    key = question.get("sort_by", "model_created")
    values = [row[key] or 0 if key == "credits_deduction" else row[key] for row in whole]
    assert values == sorted(values, reverse=question.get("sort_order") != "asc")


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, max_size=40), st.integers(1, 3))
def test_each_request_has_its_rows_once_and_the_states_share_them_out(script, outputs):
    w = play(script, outputs=outputs)
    for key in KEYS:
        entries = {
            entry.request_id: entry
            for entry in w.core.ledger.accepted()
            if entry.job.workspace == _workspace(w, key)
        }
        whole = w.every_row(key, per_page=100)
        assert {row["request_id"] for row in whole} == set(entries)
        for request_id, entry in entries.items():
            done = entry.outcome(w.clock.now) == "COMPLETED"
            of_request = [row for row in whole if row["request_id"] == request_id]
            assert len(of_request) == (outputs if done else 1)
            assert {row["model_status"] for row in of_request} <= {
                "COMPLETED" if done else "FAILED" if entry.outcome(w.clock.now) == "FAILED" else "PENDING"
            }
            assert w.entry(request_id, key).json() == of_request[0]
        parts = [w.every_row(key, status=word) for word in ("COMPLETED", "FAILED", "PENDING")]
        assert sorted(map(str, whole)) == sorted(str(row) for part in parts for row in part)


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, max_size=40), st.integers(1, 3), st.sampled_from([0.0, 30.0]))
def test_what_rows_say_was_deducted_is_what_was_billed(script, outputs, lag):
    w = play(script, outputs=outputs, history_lag_seconds=lag)
    # When every row is there, the sum over distinct requests is the bill.
    w.clock.now += 200
    deducted = {row["request_id"]: row["credits_deduction"] for key in KEYS for row in w.every_row(key)}
    billed = sum(to_micros(amount) for amount in deducted.values())
    assert billed == to_micros(w.core.ledger.billed_total())
    assert billed == sum(w.core.balance(key)[1] for key in KEYS)


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=40), questions)
def test_nobody_sees_a_row_of_another_account(script, question):
    w = play(script)
    seen = [{row["request_id"] for row in w.every_row(key, **question)} for key in KEYS]
    assert not seen[0] & seen[1]
    for key, others in ((KEYS[0], seen[1]), (KEYS[1], seen[0])):
        assert all(w.entry(request_id, key).status == 404 for request_id in others)
    listed = [
        {row["request_id"] for row in w.call("GET", "/inference-request/generations", key=key).json()["data"]}
        for key in KEYS
    ]
    assert not listed[0] & listed[1]


def _workspace(w, key):
    return w.call("GET", "/api/auth/authenticate", key=key).json()["email"].partition("@")[0]
