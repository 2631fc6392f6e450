"""Whatever happens in whatever order, the ledger adds up."""

from __future__ import annotations

import json

from emulation import HISTORY, KEY, PROMPT, world
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_ltx.emulator.faults import FaultRule
from airflow_ltx.emulator.messages import EmulatedRequest
from airflow_ltx.emulator.pricing import to_micros

KEYS = (KEY, "SG_second")
CREDITS = 0.4

bodies = st.sampled_from(
    [
        {"prompt": PROMPT},
        {"prompt": PROMPT, "length": 257},
        {"prompt": PROMPT, "length": 5},
        {"prompt": ""},
        {"prompt": PROMPT, "steps": 0},
    ]
)
steps = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from(KEYS), bodies),
    st.tuples(st.just("sync"), st.sampled_from(KEYS), bodies),
    st.tuples(st.just("status"), st.sampled_from(KEYS), st.integers(0, 9)),
    st.tuples(st.just("result"), st.sampled_from(KEYS), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.just(""), st.floats(0, 90)),
)
rules = st.builds(
    FaultRule,
    endpoint=st.sampled_from(["submit", "status", "result", "sync", "any"]),
    when=st.sampled_from(["before", "after"]),
    action=st.sampled_from(["503", "reset", "garbage", "empty", "html", "stall:1", "redirect:http://x"]),
    times=st.one_of(st.none(), st.integers(1, 3)),
    skip=st.integers(0, 3),
)


def play(w, script):
    """Carry out a script; return (accepted, faulted before) as seen from outside, by submit."""
    seen = []
    for kind, key, argument in script:
        if kind == "wait":
            w.clock.now += argument
        elif kind in {"submit", "sync"}:
            version = {"submit": "v2", "sync": "v1"}[kind]
            before = len(w.core.ledger.faults)
            count = len(w.core.ledger.accepted())
            answer = w.call("POST", f"/{version}/ltx-video", argument, key=key)
            new = [event.when for event in w.core.ledger.faults[before:]]
            seen.append((len(w.core.ledger.accepted()) - count, new, answer))
        else:
            accepted = w.core.ledger.accepted()
            name = accepted[argument % len(accepted)].request_id if accepted else "none"
            (w.status if kind == "status" else w.result)(name, key=key)
    return seen


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=40), st.lists(rules, max_size=4), st.integers(0, 2**32))
def test_the_ledger_adds_up(script, faults, seed):
    w = world(
        seed=seed,
        credits=CREDITS,
        queue_seconds=(0.0, 20.0),
        inference_seconds=(1.0, 80.0),
        faults=tuple(faults),
        requests_per_minute=30,
    )
    seen = play(w, script)
    ledger = w.core.ledger
    billed = 0
    for key in KEYS:
        available, spent, reserved = w.core.balance(key)
        assert available + spent + reserved == to_micros(CREDITS)
        assert min(available, spent, reserved) >= 0
        billed += spent
    assert to_micros(ledger.billed_total()) == billed
    failed = [entry for entry in ledger.accepted() if entry.outcome(w.clock.now) == "FAILED"]
    assert len(ledger.purchases()) == len(ledger.accepted()) - len(failed)
    assert set(ledger.billed_requests()) <= {entry.request_id for entry in ledger.purchases()}
    assert len({entry.request_id for entry in ledger.accepted()}) == len(ledger.accepted())
    for minted, faulted, answer in seen:
        if "before" in faulted:
            assert minted == 0
        elif not faulted:
            assert minted == (answer.request_id is not None)

    w.clock.now += 1000
    assert all(w.core.balance(key)[2] == 0 for key in KEYS)
    assert len(ledger.purchases()) == len(ledger.billed_requests())


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=30), st.lists(rules.filter(lambda rule: rule.when == "after"), max_size=4))
def test_a_lost_answer_never_changes_what_was_bought(script, faults):
    """The same script with and without faults after the effect leaves the same book."""
    books = []
    for rules_in_force in ((), tuple(faults)):
        w = world(credits=CREDITS, faults=rules_in_force)
        play(w, script)
        books.append(
            [
                (entry.request_id, entry.body, entry.outcome(w.clock.now))
                for entry in w.core.ledger.submissions
            ]
        )
    assert books[0] == books[1]


@settings(max_examples=50, deadline=None)
@given(st.lists(steps, max_size=30), st.lists(rules, max_size=4))
def test_the_same_calls_get_the_same_answers(script, faults):
    runs = []
    for _ in range(2):
        w = world(seed=5, inference_seconds=(1.0, 80.0), faults=tuple(faults))
        seen = play(w, script)
        runs.append(([answer for *_, answer in seen], w.core.ledger.to_json()))
    assert runs[0] == runs[1]


@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT"]),
    path=st.one_of(
        st.text().map(lambda text: f"/{text}"),
        st.sampled_from(
            [
                "/v2/ltx-video",
                "/v1/ltx-video",
                "/v2/requests/x/status",
                "/files/x.mp4",
                HISTORY,
                "/upload-asset",
            ]
        ),
    ),
    body=st.one_of(
        st.binary(),
        st.lists(st.text()).map(lambda texts: json.dumps({"data_urls": texts}).encode()),
        st.recursive(st.none() | st.integers() | st.text(), st.lists).map(str).map(str.encode),
    ),
    query=st.dictionaries(
        st.sampled_from(["page", "per_page", "from_date", "to_date", "model_name", "status", "sort_by"]),
        st.text() | st.integers().map(str) | st.dates().map(str),
    ),
)
def test_nothing_that_is_sent_breaks_it(method, path, body, query):
    w = world()
    headers = {"x-api-key": KEY, "content-type": "application/json"}
    answer = w.core.handle(EmulatedRequest(method, path, headers, body, query=query))
    assert 200 <= answer.status < 500
