"""The indexes of a mapped task have a file each."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, task_group

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.operators._destination import check_mapped
from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.operators.segmind import SegmindSubmitOperator
from airflow_ltx.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

SAME = "is the same file for more than one index of this mapped task"


def check(given: str, rendered: str, *, expanded: dict[str, list[Any]] | None = None, index: int = 1) -> None:
    expanded = expanded or {"prompt": ["one", "two"]}
    partial = {"task_id": "t", "prompt": "p", "destination": given}
    with DAG("d", schedule=None) as dag:
        kept = {name: value for name, value in partial.items() if name not in expanded}
        LTXSubmitOperator.partial(**kept).expand(**expanded)
    context = {"ti": SimpleNamespace(task_id="t", map_index=index), "dag": dag}
    check_mapped(context, parse_destination(rendered))


@pytest.mark.parametrize(
    ("given", "rendered"),
    [
        ("file:///v/a.mp4", "file:///v/a.mp4"),
        ("s3://c@bucket/a.mp4", "s3://c@bucket/a.mp4"),
        ("s3://c@bucket/{{ run_id }}.mp4", "s3://c@bucket/r.mp4"),
        ("s3://c@bucket/{{ dag_run.run_after | ds }}.mp4", "s3://c@bucket/2026-01-02.mp4"),
        ("s3://c@bucket/clip{ext}", "s3://c@bucket/clip{ext}"),
        ("s3://c@bucket/{model}{ext}", "s3://c@bucket/{model}{ext}"),
        ("s3://c@bucket/{model}-{number}.mp4", "s3://c@bucket/{model}-{number}.mp4"),
        ("s3://c@bucket/{{ ti.run_id }}.mp4", "s3://c@bucket/r.mp4"),
        ("s3://c@bucket/{{ task_instance['run_id'] }}.mp4", "s3://c@bucket/r.mp4"),
        ("s3://c@bucket/{{ task.task_id }}/{{ ti.task.dag_id }}.mp4", "s3://c@bucket/t/d.mp4"),
        ("s3://c@bucket/{{ macros.ds_add(ds, 1) }}.mp4", "s3://c@bucket/r.mp4"),
        ("s3://c@bucket/{{ prev_start_date_success }}.mp4", "s3://c@bucket/r.mp4"),
        ("s3://c@bucket/{% for n in range(2) %}{{ n }}{% endfor %}.mp4", "s3://c@bucket/01.mp4"),
    ],
)
def test_one_name_for_all_is_an_error_for_good(given: str, rendered: str) -> None:
    with pytest.raises(DestinationError, match=SAME) as caught:
        check(given, rendered)
    assert caught.value.retryable is False


@pytest.mark.parametrize(
    ("given", "rendered"),
    [
        ("s3://c@bucket/v/", "s3://c@bucket/v/"),
        ("s3://c@bucket/{request_id}.mp4", "s3://c@bucket/{request_id}.mp4"),
        ("s3://c@bucket/{{ ti.map_index }}.mp4", "s3://c@bucket/1.mp4"),
        ("s3://c@bucket/{{ task.prompt }}.mp4", "s3://c@bucket/one.mp4"),
        ("s3://c@bucket/{{ my_macro() }}.mp4", "s3://c@bucket/x.mp4"),
        ("s3://c@bucket/{{ ds if ti.map_index else ts }}.mp4", "s3://c@bucket/x.mp4"),
        ("s3://c@bucket/{{ ti.xcom_pull('name') }}.mp4", "s3://c@bucket/x.mp4"),
        ("s3://c@bucket/{{ ti['start_date'] }}.mp4", "s3://c@bucket/x.mp4"),
        ("s3://c@bucket/{{ [1, 2, 3] | random }}.mp4", "s3://c@bucket/x.mp4"),
        ("s3://c@bucket/{{ macros.uuid.uuid4() }}.mp4", "s3://c@bucket/x.mp4"),
        ("s3://c@bucket/{{ broken", "s3://c@bucket/x.mp4"),
        ("s3://c@bucket/{request_id}{ext}", "s3://c@bucket/{request_id}{ext}"),
    ],
)
def test_what_tells_them_apart_or_may_is_left_alone(given: str, rendered: str) -> None:
    check(given, rendered)


def test_so_is_a_destination_that_is_mapped_and_a_task_that_is_not() -> None:
    check("", "file:///a.mp4", expanded={"destination": ["file:///a.mp4", "file:///b.mp4"]})
    check("file:///v/a.mp4", "file:///v/a.mp4", index=-1)
    check("s3://c@bucket/{{ params.name }}.mp4", "s3://c@bucket/x.mp4", expanded={"params": [{"name": "x"}]})


CLIP, OTHER = "s3://bucket/clip.mp4", "s3://bucket/other.mp4"


def mapped(index: int, *, given: list[dict[str, Any]] | None = None, **lists: Any) -> None:
    """``given`` to expand_kwargs, or ``lists`` to expand."""
    with DAG("d", schedule=None) as dag:
        known = {"prompt", "destination"} & {*(given or [{}])[0], *lists}
        fixed = {"prompt": "p", "destination": CLIP}
        task = LTXSubmitOperator.partial(
            task_id="t", **{name: value for name, value in fixed.items() if name not in known}
        )
        task.expand(**lists) if given is None else task.expand_kwargs(given)
    rendered = {CLIP: parse_destination(CLIP), OTHER: parse_destination(OTHER)}
    own = given[index].get("destination", CLIP) if given else lists.get("destination", [CLIP] * 9)[index]
    check_mapped({"ti": SimpleNamespace(task_id="t", map_index=index), "dag": dag}, rendered[own])


def test_connections_tell_them_apart_where_they_differ() -> None:
    """Azure's accounts are in them."""
    mapped(0, destination_conn_id=["a", "b"])
    mapped(
        0, given=[{"prompt": "a", "destination_conn_id": "a"}, {"prompt": "b", "destination_conn_id": "b"}]
    )
    for again in (
        {"destination_conn_id": ["a", "a"]},
        {"given": [{"prompt": "a", "destination_conn_id": "a"}, {"prompt": "b", "destination_conn_id": "a"}]},
    ):
        with pytest.raises(DestinationError, match=SAME):
            mapped(0, **again)


def test_a_connection_in_the_uri_is_the_same_for_all() -> None:
    with DAG("d", schedule=None) as dag:

        @dag.task
        def connections() -> list[str]:
            return []

        LTXSubmitOperator.partial(task_id="t", prompt="p", destination="s3://c@bucket/clip.mp4").expand(
            destination_conn_id=connections()
        )
        LTXSubmitOperator.partial(task_id="u", prompt="p", destination=CLIP).expand(
            destination_conn_id=connections()
        )
    instance = SimpleNamespace(task_id="t", map_index=0)
    with pytest.raises(DestinationError, match=SAME):
        check_mapped({"ti": instance, "dag": dag}, parse_destination("s3://c@bucket/clip.mp4"))
    instance.task_id = "u"
    check_mapped({"ti": instance, "dag": dag}, parse_destination(CLIP, "one"))


def test_destinations_that_are_mapped_are_compared_where_they_are_literals() -> None:
    rows = [{"prompt": str(number), "destination": each} for number, each in enumerate((CLIP, OTHER, CLIP))]
    mapped(1, given=rows)
    mapped(0, given=rows[:2])
    mapped(1, destination=[CLIP, OTHER])
    mapped(0, prompt=["one"])
    for index, again in (
        (0, {"given": rows}),
        (2, {"given": rows}),
        (0, {"destination": [CLIP, CLIP]}),
        # Each prompt with each of them.
        (1, {"destination": [CLIP, OTHER], "prompt": ["one", "two"]}),
    ):
        with pytest.raises(DestinationError, match=SAME):
            mapped(index, **again)


def test_arguments_that_only_a_run_knows_may_tell_them_apart() -> None:
    with DAG("d", schedule=None) as dag:

        @dag.task
        def given() -> list[dict[str, Any]]:
            return []

        LTXSubmitOperator.partial(
            task_id="t", destination="s3://c@bucket/{{ params.name }}.mp4"
        ).expand_kwargs(given())
        LTXSubmitOperator.partial(task_id="same", destination="s3://c@bucket/a.mp4").expand_kwargs(given())
    instance = SimpleNamespace(task_id="t", map_index=0)
    check_mapped({"ti": instance, "dag": dag}, parse_destination("s3://c@bucket/x.mp4"))
    instance.task_id = "same"
    with pytest.raises(DestinationError, match=SAME):
        check_mapped({"ti": instance, "dag": dag}, parse_destination("s3://c@bucket/a.mp4"))


@pytest.mark.parametrize(
    ("partial", "expanded", "same"),
    [
        ({"model": "m"}, {"parameters": [{}, {}]}, True),
        ({"model": "{{ params.model }}"}, {"parameters": [{}, {}]}, True),
        ({"model": "{{ ti.xcom_pull('m') }}"}, {"parameters": [{}, {}]}, False),
        ({"parameters": {}}, {"model": ["m", "n"]}, False),
    ],
)
def test_models_tell_them_apart_where_they_differ(
    partial: dict[str, Any], expanded: dict[str, Any], same: bool
) -> None:
    destination = "s3://c@bucket/{model}.mp4"
    with DAG("d", schedule=None) as dag:
        SegmindSubmitOperator.partial(task_id="t", destination=destination, **partial).expand(**expanded)
    context = {"ti": SimpleNamespace(task_id="t", map_index=0), "dag": dag}
    if same:
        with pytest.raises(DestinationError, match=SAME):
            check_mapped(context, parse_destination(destination))
    else:
        check_mapped(context, parse_destination(destination))


def test_requests_that_are_copied_may_be_of_several_models() -> None:
    destination = "s3://c@bucket/{model}.mp4"
    with DAG("d", schedule=None) as dag:
        SegmindToObjectStorageOperator.partial(task_id="t", destination=destination).expand(
            request_id=["a", "b"]
        )
    context = {"ti": SimpleNamespace(task_id="t", map_index=0), "dag": dag}
    check_mapped(context, parse_destination(destination))


@pytest.mark.parametrize(
    ("given", "rendered", "same"),
    [
        ("s3://c@bucket/clip.mp4", None, True),
        ("s3://c@bucket/{{ run_id }}.mp4", "s3://c@bucket/r.mp4", True),
        ("s3://c@bucket/{{ task.task_id }}{ext}", "s3://c@bucket/t{ext}", True),
        ("s3://c@bucket/{{ task.prompt }}.mp4", "s3://c@bucket/one.mp4", False),
        ("s3://c@bucket/{{ ti.map_index }}.mp4", "s3://c@bucket/0.mp4", False),
        ("s3://c@bucket/v/", None, False),
        (None, "s3://c@bucket/one.mp4", False),
    ],
)
def test_so_is_a_task_of_a_mapped_group(given: str | None, rendered: str | None, same: bool) -> None:
    with DAG("g", schedule=None) as dag:

        @task_group
        def each(prompt: str) -> None:
            LTXSubmitOperator(task_id="t", prompt=prompt, destination=given or prompt)

        each.expand(prompt=["one", "two"])
    context = {"ti": SimpleNamespace(task_id="each.t", map_index=1), "dag": dag}
    destination = parse_destination(rendered or str(given))
    if same:
        with pytest.raises(DestinationError, match=SAME):
            check_mapped(context, destination)
    else:
        check_mapped(context, destination)
