"""The fault script: which request it meets, what it does to the answer, and what the ledger makes of it."""

from __future__ import annotations

import pytest
from emulation import world

from airflow_ltx.emulator.faults import FaultRule

COMPACT = [
    ("submit:after:reset", {"endpoint": "submit", "when": "after", "action": "reset", "times": 1, "skip": 0}),
    ("status:before:503*3", {"endpoint": "status", "action": "503", "times": 3}),
    (
        "any:before:html*inf+2@abc",
        {"endpoint": "any", "action": "html", "times": None, "skip": 2, "match": "abc"},
    ),
    ("download:before:truncate:1000", {"action": "truncate:1000"}),
    ("status:before:redirect:http://h:1/x*2", {"action": "redirect:http://h:1/x", "times": 2}),
    ("history:before:429:30", {"endpoint": "history", "action": "429:30"}),
    ("upload:after:reset*2", {"endpoint": "upload", "when": "after", "times": 2}),
    ("asset:before:slow:100", {"endpoint": "asset", "action": "slow:100"}),
    ("status:after:status:IN_QUEUE", {"action": "status:IN_QUEUE"}),
]


@pytest.mark.parametrize(("text", "fields"), COMPACT)
def test_the_compact_form_says_the_same_as_json(text, fields):
    rule = FaultRule.from_compact(text)
    assert {name: getattr(rule, name) for name in fields} == fields
    assert FaultRule.from_json(rule.to_json()) == FaultRule.from_json(text) == rule


@pytest.mark.parametrize(
    "text",
    [
        "submit",
        "submit:503",
        "nowhere:before:503",
        "submit:during:503",
        "submit:before:explode",
        "submit:before:stall:soon",
        "submit:before:stall:-1",
        "submit:before:truncate:5",
        "any:before:slow:5",
        "download:after:slow:0",
        "submit:before:503*0",
        "submit:before:fail",
        "upload:before:truncate:5",
        "history:after:fail",
        "status:after:fail",
        "status:after:status",
    ],
)
def test_a_rule_that_makes_no_sense_is_an_error(text):
    with pytest.raises(ValueError, match=r".+"):
        FaultRule.from_compact(text)


@pytest.mark.parametrize("value", [5, {}, {"endpoint": "submit"}, {"endpoint": "submit", "colour": 1}])
def test_so_is_an_object_that_is_no_rule(value):
    with pytest.raises(ValueError, match=r"."):
        FaultRule.from_json(value)


@pytest.mark.parametrize(
    ("action", "check"),
    [
        ("503", lambda a: (a.status, a.json()) == (503, {"error": "Service unavailable"})),
        ("500:Out of memory", lambda a: (a.status, a.json()) == (500, {"error": "Out of memory"})),
        ("429:30", lambda a: a.status == 429 and "x-rate-limit-reset-at-utc" in a.headers),
        ("status:429", lambda a: a.status == 429),
        ("405", lambda a: a.status == 405 and a.body.startswith(b"<html>")),
        ("reset", lambda a: a.reset),
        ("stall:7.5", lambda a: a.stall == 7.5),
        ("garbage", lambda a: a.status == 200 and b"\xff" in a.body),
        ("empty", lambda a: (a.status, a.body) == (200, b"")),
        ("html", lambda a: a.status == 200 and a.body.startswith(b"<html>")),
        ("html:502", lambda a: a.status == 502 and a.body.startswith(b"<html>")),
        ("redirect:http://x/y", lambda a: (a.status, a.headers["location"]) == (302, "http://x/y")),
    ],
)
def test_every_action_before_and_after_the_effect(action, check):
    for when, bought in (("before", 0), ("after", 1)):
        w = world(faults=(FaultRule("submit", when, action),))
        assert check(w.post())
        assert len(w.core.ledger.purchases()) == bought
        assert w.post().json()["status"] == "QUEUED"
        assert len(w.core.ledger.purchases()) == bought + 1
        lost = [entry.lost_answers for entry in w.core.ledger.submissions]
        assert lost == ([0] if when == "before" else [1, 0])
        assert [(event.endpoint, event.when) for event in w.core.ledger.faults] == [("submit", when)]


def test_a_stalled_request_takes_effect_only_when_it_is_resumed():
    from airflow_ltx.emulator.messages import EmulatedRequest

    w = world(faults=(FaultRule("submit", "before", "stall:3"),))
    request = EmulatedRequest(
        "POST", "/v2/ltx-video", {"x-api-key": "k", "content-type": "application/json"}, b'{"prompt": "x"}'
    )
    held = w.core.handle(request)
    assert (held.stall, held.unhandled) == (3, True)
    assert w.core.ledger.submissions == []
    assert w.core.resume(request).json()["status"] == "QUEUED"
    assert len(w.core.ledger.purchases()) == 1


def test_answers_can_be_cut_slowed_and_renamed():
    w = world(
        faults=(
            FaultRule("download", "before", "truncate:10"),
            FaultRule("download", "after", "slow:1000"),
            FaultRule("status", "after", "status:ARCHIVING"),
        )
    )
    request_id = w.submit()
    w.clock.now += 60
    answer = w.status(request_id)
    assert answer.json()["status"] == "ARCHIVING"
    assert answer.json()["request_id"] == request_id
    assert w.status(request_id).json()["status"] == "COMPLETED"
    first, second, third = (w.download(request_id) for _ in range(3))
    assert (first.truncate, first.slow, first.file.request_id) == (10, None, request_id)
    assert (second.truncate, second.slow) == (None, 1000)
    assert (third.truncate, third.slow) == (None, None)


def test_an_accepted_request_can_be_made_to_fail():
    w = world(credits=1.0, faults=(FaultRule("submit", "after", "fail:Internal service error"),))
    request_id = w.submit()
    w.clock.now += 59
    assert w.status(request_id).json()["status"] == "PROCESSING"
    w.clock.now += 1
    assert w.status(request_id).json()["error"] == "Internal service error"
    assert w.core.balance(w.key) == (1_000_000, 0, 0)


def test_a_code_can_bring_its_own_body():
    w = world(
        faults=(
            FaultRule("status", "before", "422", body={"detail": ["a", "b"]}),
            FaultRule("status", "before", "500", body="plain words"),
        )
    )
    request_id = w.submit()
    assert w.status(request_id).json() == {"detail": ["a", "b"]}
    assert w.status(request_id).body == b"plain words"


def test_rules_are_taken_in_order_with_skips_and_counts():
    w = world(
        faults=(
            FaultRule("status", "before", "503", times=2, skip=1),
            FaultRule("status", "before", "500", times=None, skip=1),
        )
    )
    request_id = w.submit()
    codes = [w.status(request_id).status for _ in range(6)]
    # The second rule does not see what the first one took.
    assert codes == [200, 503, 503, 500, 500, 500]


def test_appending_rules_keeps_the_counts_of_the_others():
    w = world(faults=(FaultRule("status", "before", "503"),))
    request_id = w.submit()
    assert w.status(request_id).status == 503
    w.core.add_faults([FaultRule("status", "before", "500")])
    assert [w.status(request_id).status for _ in range(2)] == [500, 200]
    w.core.set_faults([FaultRule("any", "before", "502", times=None)])
    assert w.status(request_id).status == w.post().status == 502
    w.core.set_faults([])
    assert w.status(request_id).status == 200


def test_a_rule_can_be_for_one_request():
    w = world()
    one, other = w.submit(), w.submit()
    w.core.set_faults(
        [
            FaultRule("status", "before", "503", match=one),
            FaultRule("submit", "after", "reset", match="penguin"),
        ]
    )
    assert [w.status(other).status, w.status(one).status] == [200, 503]
    assert not w.post().reset
    assert w.post({"prompt": "a penguin"}).reset


def test_a_fault_before_does_not_touch_the_rate_limit():
    w = world(requests_per_minute=1, faults=(FaultRule("submit", "before", "503"),))
    assert [w.post().status for _ in range(3)] == [503, 200, 429]
