"""A record as it is kept: read back as it was, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.durability.record import MOST, Phase, Purchase, Record

PURCHASE = Purchase(
    Phase.SUBMITTED,
    "wanted",
    "ltx-video",
    1_800_000_000.0,
    {"prompt": "mark"},
    request_id="the-id",
    submitted_at=1_800_000_001.0,
    try_number=1,
)
RECORD = Record((PURCHASE,), max_tries=3, revision=2)
wholes = st.integers(-(2**63), 2**64 - 1)
moments = st.floats(allow_nan=False, allow_infinity=False)
request_ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}", fullmatch=True)
purchases = st.builds(
    Purchase,
    phase=st.sampled_from(Phase),
    fingerprint=st.text(),
    model=st.text(),
    intent_at=moments,
    marks=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    seeded=st.booleans(),
    seed=st.none() | wholes,
    others=st.lists(request_ids, max_size=3).map(tuple),
    made=st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), max_size=3).map(tuple),
    request_id=request_ids,
    named=st.none() | request_ids,
    sought=st.booleans(),
    submitted_at=moments,
    try_number=st.none() | wholes,
    cost=st.none() | moments,
    result=st.none() | st.dictionaries(st.text(), st.none() | st.text() | st.integers(), max_size=3),
)
nested = st.builds(
    lambda purchase, before: replace(purchase, instead_of=before), purchases, st.none() | purchases
)
records = st.builds(Record, st.lists(nested, max_size=4).map(tuple), st.none() | wholes, st.integers(0))


@given(records, st.dictionaries(st.sampled_from(["new", "policy", "task_instance"]), st.integers()))
def test_a_record_survives_json_and_newer_keys(record: Record, newer: dict[str, int]) -> None:
    assert Record.from_json({**json.loads(json.dumps(record.to_json())), **newer}) == record


@given(records)
def test_a_record_is_told_in_what_json_knows(record: Record) -> None:
    """Airflow refuses a tuple, though it could be written as a list."""
    assert json.loads(json.dumps(record.to_json())) == record.to_json()


def test_an_intent_and_a_refusal_name_no_request() -> None:
    for phase in (Phase.INTENT, Phase.FAILED):
        record = Record((Purchase(phase, "f", "m", 1.0, {}),), 1, 1)
        assert Record.from_json(record.to_json()) == record


@pytest.mark.parametrize(
    "data",
    [None, "", "text", 7, [], {}, {"version": 1}, {"version": 2}, {"version": 3}, [RECORD.to_json()]],
)
def test_what_is_no_record_is_none(data: Any) -> None:
    assert Record.from_json(data) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("phase", "bought"),
        ("submitted_at", "soon"),
        ("submitted_at", None),
        ("intent_at", float("nan")),
        ("intent_at", "1800000000"),
        ("model", None),
        ("fingerprint", None),
        ("request_id", ""),
        ("request_id", None),
        ("request_id", "../x"),
        ("marks", None),
        ("marks", {"prompt": 7}),
    ],
)
def test_a_record_whose_fields_cannot_be_is_no_record(name: str, value: Any) -> None:
    """Read as one, it breaks later, where nothing expects it."""
    told = RECORD.to_json()
    told["purchases"][0][name] = value
    assert Record.from_json(told) is None


@given(records, purchases, st.integers())
def test_the_purchase_dealt_with_last_is_the_current_one_and_the_only_one_of_its_kind(
    record: Record, purchase: Purchase, max_tries: int
) -> None:
    after = record.updated(purchase, max_tries)
    assert after.current == after.of(purchase.fingerprint) == purchase
    assert [p.fingerprint for p in after.purchases].count(purchase.fingerprint) == 1
    assert (after.max_tries, after.revision) == (max_tries, record.revision + 1)
    others = {p.fingerprint for p in record.purchases} - {purchase.fingerprint}
    assert {p.fingerprint for p in after.purchases} == others | {purchase.fingerprint}


def test_a_record_does_not_grow_for_ever() -> None:
    record = Record()
    for number in range(3 * MOST):
        record = record.updated(Purchase(Phase.INTENT, str(number), "m", 1.0, {}), 1)
    assert [p.fingerprint for p in record.purchases] == [str(n) for n in range(2 * MOST, 3 * MOST)]
