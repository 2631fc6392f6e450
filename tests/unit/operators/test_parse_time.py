"""What an author learns when the DAG file is parsed."""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest
from airflow.sdk import DAG, task

from airflow_ltx.exceptions import DestinationError, InvalidParameter
from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.operators.segmind import SegmindSubmitOperator

PROMPT = "A lighthouse at dusk"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"length": 98}, "length is 98"),
        ({"length": "abc"}, "length is 'abc'"),
        ({"target_size": 500}, "target_size is 500"),
        ({"aspect_ratio": "5:3"}, "aspect_ratio is '5:3'"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 51}, "steps is 51"),
        ({"cfg": 20.5}, "cfg is 20.5"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"image": "ftp://host/picture.png"}, "image is"),
        ({"extra": {"cfg": 3}}, "extra must not repeat cfg"),
        ({"prompt": "  "}, "prompt is '  '"),
        ({"prompt": None}, "prompt is None"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": "20"}, "timeout is '20'"),
        ({"timeout": sys.maxsize}, "timeout is 9223372036854775807; it must be a number"),
        ({"timeout": 10**400}, "and at most 31622400 (a year)"),
        ({"timeout": timedelta.max}, "timeout is 86400000000000.0"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"poll_interval": 1e14}, "poll_interval is 1"),
        ({"poll_interval": -1}, "poll_interval is -1"),
        ({"land_in": "moon", "destination": "file:///x/"}, "land_in is 'moon'"),
        ({"land_in": "triggerer", "destination": "file:///x/"}, "land_in is 'triggerer'"),
        ({"land_in": "worker"}, "land_in is given without a destination"),
        ({"destination_conn_id": "x"}, "destination_conn_id is given without a destination"),
        (
            {"destination_conn_id": "x", "destination": "file:///x/"},
            "destination_conn_id is given for a file",
        ),
        ({"destination": "file:///x/", "wait_for_completion": False}, "wait_for_completion=False"),
    ],
)
def test_a_wrong_literal_is_an_error_that_names_it(arguments, said):
    with pytest.raises(InvalidParameter) as caught:
        LTXSubmitOperator(task_id="t", **{"prompt": PROMPT, **arguments})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    ["/data/videos/", "oss://bucket/x/", "oss://bucket/{{ ds }}/", "file://host/x/", "file:///x/../y/", ""],
)
def test_a_destination_that_cannot_work_is_an_error(uri):
    with pytest.raises(DestinationError):
        LTXSubmitOperator(task_id="t", prompt=PROMPT, destination=uri)


def test_several_wrong_values_are_named_at_once():
    with pytest.raises(InvalidParameter) as caught:
        LTXSubmitOperator(task_id="t", prompt=PROMPT, length=98, steps=0)
    assert str(caught.value).startswith("Task 't': ")
    assert "length is 98" in str(caught.value)
    assert "steps is 0" in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"length": "{{ params.length }}"},
        {"seed": "{% if true %}1{% endif %}"},
        {"prompt": "prompts/{{ ds }}.txt"},
        {"prompt": "woman.txt"},
        {"destination": "{{ var.value.somewhere }}"},
        {"destination": "file:///data/{{ ds }}/"},
        {"extra": {"new": "{{ ds }}"}},
        {"timeout": timedelta(minutes=5), "poll_interval": 2.5},
        {"timeout": timedelta(days=366), "poll_interval": 31622400},
    ],
)
def test_what_is_not_known_yet_is_left_to_the_worker(arguments):
    LTXSubmitOperator(task_id="t", **{"prompt": PROMPT, **arguments})


def test_values_of_other_tasks_are_left_to_the_worker():
    with DAG("d", schedule=None):

        @task
        def number() -> int:
            return 98

        made = LTXSubmitOperator(task_id="t", prompt=PROMPT, length=number())
    assert made.upstream_task_ids == {"number"}


def test_mapped_values_are_left_to_the_worker():
    with DAG("d", schedule=None):
        LTXSubmitOperator.partial(task_id="a", steps=10).expand(prompt=[PROMPT, ""])
        LTXSubmitOperator.partial(task_id="b").expand_kwargs([{"prompt": PROMPT, "length": 98}])


def test_parsing_reads_no_connection(monkeypatch):
    def looked_up(*args, **kwargs):
        raise AssertionError("a connection was looked up")

    monkeypatch.setattr("airflow.sdk.BaseHook.get_connection", looked_up)
    LTXSubmitOperator(task_id="t", prompt=PROMPT, segmind_conn_id="nowhere")
    SegmindSubmitOperator(task_id="u", model="ltx-video", parameters={"prompt": PROMPT})


def test_the_base_operator_takes_any_json_object():
    made = SegmindSubmitOperator(
        task_id="t", model="wan-2.2-t2v-fast", parameters={"prompt": PROMPT, "n": [1, None]}
    )
    assert made.parameters == {"prompt": PROMPT, "n": [1, None]}
    with pytest.raises(InvalidParameter, match="parameters is"):
        SegmindSubmitOperator(task_id="t", model="m", parameters=["no"])
    with pytest.raises(InvalidParameter, match="the model's slug"):
        SegmindSubmitOperator(task_id="t", model="LTX Video!")
    with pytest.raises(InvalidParameter, match="JSON cannot"):
        SegmindSubmitOperator(task_id="t", model="m", parameters={"when": float("nan")})


@pytest.mark.parametrize("operator", [LTXSubmitOperator, SegmindSubmitOperator])
def test_every_template_field_is_an_attribute(operator):
    made = (
        LTXSubmitOperator(task_id="t", prompt=PROMPT)
        if operator is LTXSubmitOperator
        else SegmindSubmitOperator(task_id="t", model="m")
    )
    assert all(hasattr(made, name) for name in operator.template_fields)
    assert set(operator.template_fields_renderers) <= set(operator.template_fields)


def test_a_dag_of_it_can_be_serialized():
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("d", schedule=None) as dag:
        LTXSubmitOperator(task_id="t", prompt=PROMPT, length=97, timeout=timedelta(minutes=5))
        LTXSubmitOperator.partial(task_id="m").expand(prompt=[PROMPT])
    back = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert tuple(back.task_dict["t"].template_fields) == LTXSubmitOperator.template_fields
