"""The indexes of a mapped task have a file each."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.operators._destination import check_mapped
from airflow_ltx.operators.ltx import LTXSubmitOperator

SAME = "is the same file for each index of this mapped task"


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
    ],
)
def test_what_tells_them_apart_or_may_is_left_alone(given: str, rendered: str) -> None:
    check(given, rendered)


def test_so_is_a_destination_that_is_mapped_and_a_task_that_is_not() -> None:
    check("", "file:///a.mp4", expanded={"destination": ["file:///a.mp4", "file:///b.mp4"]})
    check("file:///v/a.mp4", "file:///v/a.mp4", index=-1)
