"""The public catalogue of models, and that its schema and the checks of a body are one thing."""

from __future__ import annotations

import jsonschema
from emulation import PROMPT, world
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_ltx.emulator import validation
from airflow_ltx.emulator.catalogue import DEFAULT_MODELS

LIST = "/inference-model-information/list"
KEY = "Inference Segmind Model Information List With Details"


def entries(w, **more):
    answer = w.call("GET", LIST, **more)
    assert answer.status == 200
    return {entry["slug"]: entry for entry in answer.json()[KEY]}


def schema():
    return entries(world())["ltx-video"]["parameters_schema"]


def test_the_catalogue_is_for_everybody():
    w = world(api_keys=frozenset({"SG_right"}), requests_per_minute=1)
    for key in ("", "SG_wrong", "SG_right", "SG_right"):
        listed = entries(w, key=key)
        assert set(listed) == {model.slug for model in DEFAULT_MODELS}
        assert {entry["is_depreciated"] for entry in listed.values()} == {False}


def test_a_retired_model_is_marked_as_such():
    listed = entries(world(retired=frozenset({"old-model", "wan2.1-t2v"})))
    assert {slug for slug, entry in listed.items() if entry["is_depreciated"]} == {"old-model", "wan2.1-t2v"}


def test_the_parameters_of_ltx_video_are_all_told_with_their_defaults():
    found = schema()
    assert found["required"] == ["prompt"]
    assert {name: each.get("default") for name, each in found["properties"].items()} == {
        "prompt": None,
        "negative_prompt": "low quality, worst quality, deformed, distorted",
        "aspect_ratio": "3:2",
        "target_size": 640,
        "length": 97,
        "steps": 30,
        "cfg": 3,
        "seed": None,
        "image": None,
    }
    assert found["properties"]["length"]["enum"] == [97, 129, 161, 193, 225, 257]
    jsonschema.Draft202012Validator.check_schema(found)


def test_what_has_a_default_completes_without_it_and_with_it():
    w = world()
    defaults = {name: each["default"] for name, each in schema()["properties"].items() if each.get("default")}
    ids = [w.submit(), w.submit(**defaults)]
    w.clock.now += 60
    assert [w.status(request_id).json()["status"] for request_id in ids] == ["COMPLETED"] * 2
    plans = [w.core.ledger.of(request_id).job.video for request_id in ids]
    assert len({(plan.width, plan.height, plan.frames) for plan in plans}) == 1


# Where JSON Schema and the service differ on purpose: 640.0 is an integer to the one and not to the other.
numbers = st.integers(-5, 1100) | st.floats(-2, 30).filter(lambda number: not number.is_integer())
values = st.one_of(
    st.none(), st.booleans(), numbers, st.text(max_size=3), st.lists(st.none(), max_size=1),
    st.sampled_from(["1:1", "21:9", "7:3", 512, 640, 1024, 97, 257, 1, 50, 20]),
)  # fmt: skip
fitting = st.fixed_dictionaries(
    {"prompt": st.just(PROMPT)},
    optional={
        "negative_prompt": st.text(max_size=3),
        "aspect_ratio": st.sampled_from(["1:1", "21:9"]),
        "target_size": st.sampled_from([512, 1024]),
        "length": st.sampled_from([97, 257]),
        "steps": st.integers(1, 50),
        "cfg": st.integers(1, 20) | st.just(1.5),
        "seed": st.none() | st.integers(),
        "image": st.none() | st.just("https://host/a.png"),
        "more": values,
    },
)
# Most bodies are wrong in one parameter at most: two wrongs would hide each other.
one_wrong = st.one_of(
    st.just({}),
    st.dictionaries(st.sampled_from(sorted(schema()["properties"].keys() - {"image"})), values, max_size=1),
    st.just({"image": 5}),
)
bodies = st.tuples(fitting, one_wrong).map(lambda parts: {**parts[0], **parts[1]})


@settings(max_examples=500)
@given(bodies)
def test_a_body_completes_if_and_only_if_it_fits_the_schema(body):
    problem = validation.refusal("ltx-video", body) or validation.failure(
        "ltx-video", body, blocked_words=(), unfetchable=lambda _: False
    )
    assert jsonschema.Draft202012Validator(schema()).is_valid(body) == (problem is None), problem


def test_the_schema_of_other_models_takes_any_object():
    other = entries(world())["wan2.1-t2v"]["parameters_schema"]
    assert jsonschema.Draft202012Validator(other).is_valid({"anything": [1]})
