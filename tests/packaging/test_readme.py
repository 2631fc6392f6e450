"""What the README shows can be run as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from airflow.sdk import DAG, Connection, task

from airflow_ltx.hooks._connection import client_config
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.segmind.ltx import PARAMETERS
from airflow_ltx.sensors.segmind import SegmindRequestSensor

README = Path(__file__).resolve().parents[2].joinpath("README.md").read_text()
DAG_FILE, *SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
EXAMPLES = Path(__file__).resolve().parents[2] / "dags_examples"


def test_the_dag_of_the_quick_start_is_short_and_can_be_parsed(tmp_path):
    from airflow.dag_processing.dagbag import DagBag

    file = tmp_path / "my_video.py"
    file.write_text(DAG_FILE)
    bag = DagBag(dag_folder=file)
    assert bag.import_errors == {}
    (video,) = bag.dags["my_video"].tasks
    assert isinstance(video, LTXSubmitOperator)
    assert video.retries > 0
    assert len([line for line in DAG_FILE.splitlines() if line.strip()]) <= 15


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_every_other_snippet_is_the_inside_of_a_dag(snippet):
    names = {
        "LTXSubmitOperator": LTXSubmitOperator,
        "SegmindRequestSensor": SegmindRequestSensor,
        "task": task,
    }
    with DAG("d", schedule=None) as dag:
        exec(snippet, names)
    assert dag.tasks
    paying = [one for one in dag.tasks if one.task_type != "_PythonDecoratedOperator"]
    assert all(one.retries > 0 for one in paying)


def test_every_example_is_named_and_has_retries():
    from airflow.dag_processing.dagbag import DagBag

    for file in EXAMPLES.glob("*.py"):
        assert f"dags_examples/{file.name}" in README
        bag = DagBag(dag_folder=file)
        assert bag.import_errors == {}
        (dag,) = bag.dags.values()
        assert all(one.retries > 0 for one in dag.tasks)


def test_every_method_of_the_hook_in_the_table_exists():
    table = README[README.index("`SegmindHook` is the service") :].partition("## ")[0]
    methods = set(re.findall(r"`(\w+)\(", table)) | {"await_request"}
    assert len(methods) > 8
    assert [name for name in methods if not callable(getattr(SegmindHook, name, None))] == []


@pytest.mark.parametrize("uri", re.findall(r"`(?:AIRFLOW_CONN_SEGMIND_DEFAULT=')?(segmind://[^'`]*)", README))
def test_connections_as_uris_are_read(monkeypatch, uri):
    monkeypatch.setenv("AIRFLOW_CONN_README", uri)
    assert SegmindHook("readme").config.api_key in ("SG_...", "any-text")


@pytest.mark.parametrize("text", re.findall(r"(\{\"conn_type\".*?\})", README))
def test_connections_as_json_are_read(text):
    assert client_config(Connection.from_json(text, conn_id="c")).api_key in ("SG_...", "any-text")


def test_every_parameter_of_the_model_is_in_the_table():
    table = README[README.index("## Parameters of the model") :]
    assert [name for name in PARAMETERS if f"| `{name}` |" not in table] == []


def test_make_has_every_target_that_is_named():
    makefile = Path(__file__).resolve().parents[2].joinpath("Makefile").read_text()
    named = set(re.findall(r"make ([a-z]+)", README)) - {"and", "the"}
    assert {name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)} == set()
