"""What is the same purchase, and what is another one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airflow_ltx.durability.fingerprint import fingerprint, marks
from airflow_ltx.durability.order import Order

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
        ("https://h/my cat.png?sig=1", "https://h/my cat.png?sig=2", True),
        ("https://h/a.png?sig=1\n", " https://h/a.png?sig=2", True),
        ("https://h/a.png?n=o'neill&sig=1", "https://h/a.png?n=o'neill&sig=2", True),
        ("https://h/a.png", "https://h/b.png", False),
        ("https://h/my cat.png?sig=1", "https://h/my dog.png?sig=1", False),
        ("https://[h/a.png?sig=1", "https://[h/b.png?sig=1", False),
        ("https://h a cat? Red, by day", "https://h a cat? Red, by night", False),
        ("https://h a cat #red", "https://h a cat #blue", False),
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


@given(parameters, st.randoms())
def test_the_marks_of_a_body_are_those_that_a_history_tells(values: dict[str, Any], random: Any) -> None:
    items = list(values.items())
    random.shuffle(items)
    assert marks(json.loads(json.dumps(dict(items)))) == marks(values)


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (3, 3.0, True),
        (3, "3", True),
        (3.5, "3.5", True),
        ({"a": [1.0]}, {"a": [1]}, True),
        (3, 4, False),
        (True, 1, False),
        ("a", "b", False),
        (None, 0, False),
        ("https://h/a?s=1", "https://h/a?s=2", False),
    ],
)
def test_numbers_that_are_written_otherwise_have_the_same_mark(one: Any, two: Any, same: bool) -> None:
    assert (marks({"x": one}) == marks({"x": two})) is same


@pytest.mark.parametrize("seed", [None, -1, "-1", -7, -1.0])
def test_a_seed_that_is_to_be_drawn_is_no_difference(seed: Any) -> None:
    given = Order("m", {"prompt": "p", "seed": seed}, draw_seed=True)
    bare = Order("m", {"prompt": "p"}, draw_seed=True)
    assert given.fingerprint == bare.fingerprint == fingerprint("m", {"prompt": "p"})
    drawn = given.seed(None)
    assert drawn is not None
    assert given.body(drawn) == {"prompt": "p", "seed": drawn}
    assert given.seed(drawn) == drawn


@pytest.mark.parametrize("draw_seed", [True, False])
def test_a_seed_that_was_given_is_sent_and_tells_orders_apart(draw_seed: bool) -> None:
    one, two = (Order("m", {"seed": seed}, draw_seed) for seed in (1, 2))
    assert one.seed(None) is None
    assert one.body(None) == {"seed": 1}
    assert one.fingerprint != two.fingerprint


def test_a_model_without_a_seed_is_sent_none() -> None:
    order = Order("m", {"prompt": "p"})
    assert order.body(order.seed(None)) == {"prompt": "p"}
