from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_ltx.exceptions import InvalidParameter
from airflow_ltx.segmind.ltx import (
    ASPECT_RATIOS,
    LENGTHS,
    PARAMETERS,
    SHORT_PROMPT_WORDS,
    TARGET_SIZES,
    LTXVideoParameters,
    check_literals,
)

parse = LTXVideoParameters.parse


def body(**values: Any) -> dict[str, Any]:
    return parse(prompt="p", **values).to_body()


def refused(**values: Any) -> str:
    with pytest.raises(InvalidParameter) as caught:
        parse(**{"prompt": "p", **values})
    assert "Nothing was sent" in caught.value.message
    assert caught.value.retryable is False
    return caught.value.message


def test_the_model_has_the_nine_parameters_of_its_page() -> None:
    assert PARAMETERS == (
        "prompt", "negative_prompt", "aspect_ratio", "target_size", "length", "steps", "cfg", "seed", "image",
    )  # fmt: skip
    assert len(ASPECT_RATIOS) == len(set(ASPECT_RATIOS)) == 13
    assert TARGET_SIZES == (512, 576, 640, 704, 768, 832, 896, 960, 1024)
    assert LENGTHS == (97, 129, 161, 193, 225, 257)


def test_what_is_not_set_is_not_sent() -> None:
    assert parse(prompt="p").to_body() == {"prompt": "p"}
    for nothing in (None, "", "None", "  "):
        fields = dict.fromkeys(PARAMETERS[2:], nothing)
        assert parse(prompt="p", extra=nothing, negative_prompt=None, **fields).to_body() == {"prompt": "p"}


@pytest.mark.parametrize("name", ["aspect_ratio", "target_size", "length"])
def test_every_allowed_word_and_number_is_sent_as_it_is(name: str) -> None:
    allowed: tuple[Any, ...] = {
        "aspect_ratio": ASPECT_RATIOS,
        "target_size": TARGET_SIZES,
        "length": LENGTHS,
    }[name]
    for value in allowed:
        assert body(**{name: value})[name] == value
        assert body(**{name: f" {value} "})[name] == value
        assert type(body(**{name: f"{value}"})[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("length", "97", 97),
        ("length", 97.0, 97),
        ("length", "97.0", 97),
        ("length", " 97 ", 97),
        ("target_size", "1024\n", 1024),
        ("steps", 1, 1),
        ("steps", "50", 50),
        ("steps", 50.0, 50),
        ("cfg", 1, 1),
        ("cfg", 20.0, 20.0),
        ("cfg", "3", 3),
        ("cfg", "3.5", 3.5),
        ("cfg", " 3.5 ", 3.5),
        ("cfg", "3.0", 3),
        ("cfg", "1e1", 10.0),
        ("seed", -1, -1),
        ("seed", 0, 0),
        ("seed", "2357108", 2357108),
        ("seed", 2**63 - 1, 2**63 - 1),
        ("seed", str(2**63 - 1), 2**63 - 1),
        ("image", " https://host/a.png?sig=1 ", "https://host/a.png?sig=1"),
        ("image", "http://host/a", "http://host/a"),
        ("negative_prompt", "", ""),
        ("negative_prompt", "blurry", "blurry"),
        ("negative_prompt", 5, "5"),
    ],
)
def test_rendered_values_become_what_the_service_takes(name: str, value: Any, sent: Any) -> None:
    got = body(**{name: value})[name]
    assert got == sent
    assert type(got) is type(sent)


NO_WHOLE_NUMBER = [
    "abc",
    "97x",
    "97.5",
    97.5,
    True,
    False,
    float("nan"),
    float("inf"),
    [],
    {},
    "९७",
    "9_7",
    "--97",
    "-",
    ".0",
]


@pytest.mark.parametrize("name", ["length", "target_size", "steps", "seed"])
@pytest.mark.parametrize("value", NO_WHOLE_NUMBER)
def test_what_is_no_whole_number_is_refused(name: str, value: Any) -> None:
    message = refused(**{name: value})
    assert name in message
    assert repr(value) in message


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("length", 96, "97, 129, 161, 193, 225, 257"),
        ("length", 98, "97, 129"),
        ("length", -97, "97, 129"),
        ("target_size", 641, "512, 576"),
        ("target_size", 10**400, "512, 576"),
        ("aspect_ratio", "16/9", "16:9"),
        ("aspect_ratio", "16:10", "16:9"),
        ("aspect_ratio", 1.5, "1:1, 1:2"),
        ("aspect_ratio", ["1:1"], "1:1, 1:2"),
        ("steps", 0, "from 1 to 50"),
        ("steps", 51, "from 1 to 50"),
        ("cfg", 0.999, "from 1 to 20"),
        ("cfg", 20.001, "from 1 to 20"),
        ("cfg", "abc", "from 1 to 20"),
        ("cfg", True, "from 1 to 20"),
        ("cfg", float("nan"), "from 1 to 20"),
        ("cfg", "nan", "from 1 to 20"),
        ("cfg", "1e999", "from 1 to 20"),
        ("cfg", "1_5", "from 1 to 20"),
        ("cfg", "१५", "from 1 to 20"),
        ("cfg", 10**400, "from 1 to 20"),
        ("seed", -2, "from -1"),
        ("seed", 2**63, "to 9223372036854775807"),
        ("seed", "9" * 40, "from -1"),
        ("image", "a.png", "http or https URL"),
        ("image", "ftp://host/a.png", "http or https URL"),
        ("image", "data:image/png;base64,AAAA", "http or https URL"),
        ("image", "https://", "http or https URL"),
        ("image", "https://host/a b.png", "http or https URL"),
        ("image", "http://[::1/a.png", "http or https URL"),
        ("image", 7, "http or https URL"),
        ("negative_prompt", ["a"], "text"),
        ("negative_prompt", True, "text"),
    ],
)
def test_a_refusal_names_the_field_the_value_and_what_is_allowed(name: str, value: Any, allowed: str) -> None:
    message = refused(**{name: value})
    assert name in message
    assert allowed in message
    assert str(value)[:20] in message or name == "image"
    assert len(message) < 500


@pytest.mark.parametrize("name", ["length", "prompt", "extra"])
def test_a_number_too_long_to_print_is_refused_with_a_sentence(name: str) -> None:
    assert name in refused(**{name: 10**5000})


@pytest.mark.parametrize("url", ["ftp://h/a?sig=SIGNED", "h/a.png?sig=SIGNED", "https://h/a b?sig=SIGNED"])
def test_a_refused_link_is_shown_without_its_signature(url: str) -> None:
    assert "SIGNED" not in refused(image=url)


@pytest.mark.parametrize(
    "prompt", ["", "   ", "\n\t", None, "None", " None ", True, [], {}, ["a"], float("nan")]
)
def test_a_prompt_that_says_nothing_is_refused(prompt: Any) -> None:
    assert "prompt" in refused(prompt=prompt)


def test_a_missing_prompt_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="prompt is missing"):
        parse(length=97)


@pytest.mark.parametrize(
    ("prompt", "sent"), [(123, "123"), (1.5, "1.5"), (" a  b\n", " a  b\n"), ("日本", "日本")]
)
def test_a_prompt_is_sent_as_text_and_as_written(prompt: Any, sent: str) -> None:
    assert parse(prompt=prompt).to_body() == {"prompt": sent}


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse(prompt="", length="abc", cfg=99, color="red")
    assert len(caught.value.problems) == 4
    assert "color is no parameter" in caught.value.message
    assert "ltx-video" in caught.value.message


@pytest.mark.parametrize(
    "extra", [{"fps": 24, "nested": {"a": [1, None]}}, '{"fps": 24, "nested": {"a": [1, null]}}']
)
def test_extra_is_sent_as_it_is(extra: Any) -> None:
    assert body(extra=extra) == {"prompt": "p", "fps": 24, "nested": {"a": [1, None]}}


@pytest.mark.parametrize(
    "extra",
    [[], "[1]", "{", "text", 7, {1: 2}, {"a": float("nan")}, {"a": {1, 2}}, {"a": b"x"}, '{"a": NaN}'],
)
def test_what_json_cannot_carry_is_refused_as_extra(extra: Any) -> None:
    assert "extra" in refused(extra=extra)


@pytest.mark.parametrize("name", PARAMETERS)
def test_extra_does_not_override_a_parameter(name: str) -> None:
    assert f"repeat {name}" in refused(extra={name: "x"})


def test_extra_is_a_copy() -> None:
    given_extra = {"a": [1]}
    parameters = parse(prompt="p", extra=given_extra)
    given_extra["a"].append(2)
    assert parameters.to_body()["a"] == [1]


def test_literals_may_lack_the_prompt_and_are_checked_all_the_same() -> None:
    check_literals({"length": "97"})
    with pytest.raises(InvalidParameter, match="length"):
        check_literals({"length": "98"})
    with pytest.raises(InvalidParameter, match="color"):
        check_literals({"color": 1})


@pytest.mark.parametrize(
    ("words", "advised"), [(1, True), (SHORT_PROMPT_WORDS - 1, True), (SHORT_PROMPT_WORDS, False)]
)
def test_a_short_prompt_is_advised(words: int, advised: bool) -> None:
    advice = parse(prompt=" ".join(["word"] * words)).advice()
    assert (advice is not None) is advised
    if advice:
        assert re.search(rf"\b{words} words?\b", advice)


valid = st.fixed_dictionaries(
    {"prompt": st.text(min_size=1).filter(lambda t: t.strip() not in ("", "None"))},
    optional={
        "negative_prompt": st.text().filter(lambda t: t != "None"),
        "aspect_ratio": st.sampled_from(ASPECT_RATIOS),
        "target_size": st.sampled_from(TARGET_SIZES),
        "length": st.sampled_from(LENGTHS),
        "steps": st.integers(1, 50),
        "cfg": st.floats(1, 20) | st.integers(1, 20),
        "seed": st.integers(-1, 2**63 - 1),
    },
)


@given(valid)
def test_valid_values_go_through_unchanged_and_stay_so(values: dict[str, Any]) -> None:
    sent = parse(**values).to_body()
    assert sent == values
    stored = json.loads(json.dumps(sent, allow_nan=False))
    assert parse(**stored).to_body() == sent


@given(valid)
def test_values_rendered_to_text_are_the_same_values(values: dict[str, Any]) -> None:
    assert parse(**{name: str(value) for name, value in values.items()}).to_body() == values


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.binary(max_size=3),
    lambda t: st.lists(t, max_size=2) | st.dictionaries(st.text(max_size=3), t, max_size=2),
    max_leaves=4,
)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from([*PARAMETERS, "extra", "x"]), anything, max_size=6))
def test_any_values_are_a_sendable_body_or_one_sentence_a_field(values: dict[str, Any]) -> None:
    try:
        sent = parse(**values).to_body()
    except InvalidParameter:
        return
    json.dumps(sent, allow_nan=False)
    assert None not in (sent.get(name, "") for name in PARAMETERS)
