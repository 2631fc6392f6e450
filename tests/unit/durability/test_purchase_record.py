from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airflow_ltx.durability.record import Record, Step, decide, fingerprint

RECORD = Record("the-id", "ltx-video", "wanted", 1_800_000_000.0, max_tries=3, try_number=1)


@pytest.mark.parametrize(
    ("record", "wanted", "max_tries", "step", "abandoned"),
    [
        (None, "wanted", 3, Step.SUBMIT, None),
        (RECORD, "wanted", 3, Step.REATTACH, None),
        (RECORD, "wanted", 7, Step.REATTACH, None),
        (RECORD, "wanted", None, Step.REATTACH, None),
        (RECORD, "other", 3, Step.SUBMIT, "the-id"),
        (RECORD, "other", 7, Step.SUBMIT, "the-id"),
        (replace(RECORD, settled=True), "wanted", 3, Step.REATTACH, None),
        (replace(RECORD, settled=True), "wanted", 7, Step.SUBMIT, None),
        (replace(RECORD, settled=True), "other", 3, Step.SUBMIT, "the-id"),
        (replace(RECORD, settled=True), "other", 7, Step.SUBMIT, None),
        (replace(RECORD, settled=True, max_tries=None), "wanted", None, Step.REATTACH, None),
    ],
)
def test_what_a_try_does_first(
    record: Record | None, wanted: str, max_tries: int | None, step: Step, abandoned: str | None
) -> None:
    decision = decide(record, wanted, max_tries)
    assert (decision.step, decision.abandoned) == (step, abandoned)
    assert decision.reason


@given(st.booleans(), st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_an_unsettled_purchase_of_the_same_thing_is_never_bought_again(
    settled: bool, then: int, now: int, same: bool
) -> None:
    decision = decide(replace(RECORD, settled=settled, max_tries=then), "wanted" if same else "other", now)
    buys = decision.step is Step.SUBMIT
    assert buys is (not same or (settled and then != now))
    assert (decision.abandoned is not None) is (buys and not (settled and then != now))


records = st.builds(
    Record,
    request_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}", fullmatch=True),
    model=st.text(),
    fingerprint=st.text(),
    submitted_at=st.floats(allow_nan=False, allow_infinity=False),
    max_tries=st.none() | st.integers(),
    try_number=st.none() | st.integers(),
    settled=st.booleans(),
)


@given(records, st.dictionaries(st.sampled_from(["new", "version", "policy"]), st.integers()))
def test_a_record_survives_json_and_newer_keys(record: Record, newer: dict[str, int]) -> None:
    assert Record.from_json({**json.loads(json.dumps(record.to_json())), **newer}) == record


def test_keys_that_an_older_version_did_not_write_have_defaults() -> None:
    old = {"request_id": "i", "model": "m", "fingerprint": "f", "submitted_at": 1.0}
    assert Record.from_json(old) == Record("i", "m", "f", 1.0)


@pytest.mark.parametrize(
    "data", [None, "", "text", 7, [], {}, {"request_id": None}, {"request_id": 7}, [RECORD.to_json()]]
)
def test_what_is_no_record_is_none(data: Any) -> None:
    assert Record.from_json(data) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("submitted_at", "soon"),
        ("submitted_at", None),
        ("submitted_at", float("nan")),
        ("settled", "false"),
        ("model", None),
        ("fingerprint", None),
        ("request_id", ""),
        ("request_id", "../x"),
    ],
)
def test_a_record_whose_fields_cannot_be_is_no_record(name: str, value: Any) -> None:
    """Read as one, it breaks later, where nothing expects it."""
    assert Record.from_json({**RECORD.to_json(), name: value}) is None


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda t: st.lists(t, max_size=3) | st.dictionaries(st.text(max_size=3), t, max_size=3),
    max_leaves=6,
)
parameters = st.dictionaries(st.text(max_size=5), plain, max_size=5)


@settings(max_examples=50)
@given(parameters, st.randoms())
def test_the_order_of_keys_is_no_difference(values: dict[str, Any], random: Any) -> None:
    items = list(values.items())
    random.shuffle(items)
    assert fingerprint("m", dict(items)) == fingerprint("m", values)


@settings(max_examples=50)
@given(parameters, parameters, st.sampled_from("ab"), st.sampled_from("ab"))
def test_other_values_or_models_are_another_purchase(one: Any, two: Any, model: str, other: str) -> None:
    same = model == other and json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    assert (fingerprint(model, one) == fingerprint(other, two)) is same


@given(parameters)
def test_a_fingerprint_is_a_digest_that_json_does_not_change(values: dict[str, Any]) -> None:
    digest = fingerprint("m", values)
    assert len(digest) == 64
    assert fingerprint("m", json.loads(json.dumps(values))) == digest


@given(parameters, st.text(max_size=5), plain)
def test_setting_one_value_more_is_another_purchase(values: dict[str, Any], key: str, value: Any) -> None:
    assume(key not in values)
    assert fingerprint("m", {**values, key: value}) != fingerprint("m", values)


@pytest.mark.parametrize("nest", [lambda u: u, lambda u: {"a": [{"b": (u,)}]}], ids=["flat", "nested"])
@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("https://h/a.png?sig=1", "https://h/a.png?sig=2", True),
        ("https://h/a.png?sig=1", "https://h/a.png", True),
        ("https://h/a.png#x", "https://h/a.png", True),
        ("HTTPS://h/a.png?sig=1", "HTTPS://h/a.png?sig=2", True),
        ("https://h/a.png", "https://h/b.png", False),
        ("https://h/a.png", "https://i/a.png", False),
        ("https://h/a.png", "http://h/a.png", False),
        ("a cat? yes", "a cat? no", False),
        ("https://h/ is on a screen? yes", "https://h/ is on a screen? no", False),
        ("http://[a", "http://[b", False),
    ],
)
def test_a_link_signed_anew_is_the_same_picture_and_nothing_else_is(
    nest: Any, one: str, two: str, same: bool
) -> None:
    assert (fingerprint("m", {"x": nest(one)}) == fingerprint("m", {"x": nest(two)})) is same


def test_a_fingerprint_is_the_same_in_every_version_and_process() -> None:
    """Another digest after an upgrade would buy every unfinished video again."""
    assert fingerprint("ltx-video", {"prompt": "é", "cfg": 3, "image": "https://h/a?s=1"}) == (
        "d4ff263dee4910ceb7c7dffe08e1231cfa3ecd3f5dd16d60f03823d07a2bb6d0"
    )
