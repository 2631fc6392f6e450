"""What OpenLineage is told of a task's files."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("airflow.providers.openlineage", reason="needs the extra openlineage")

from openlineage.client.serde import Serde

from airflow_ltx.operators.segmind import SegmindSubmitOperator

FILE = {"bytes": 7, "sha256": "a" * 64, "content_type": "video/mp4"}


def told(result: dict | None) -> dict:
    operator = SegmindSubmitOperator(task_id="t", model="ltx-video", parameters={})
    if result is not None:
        operator._tell_outlets(None, result)
    lineage = operator.get_openlineage_facets_on_complete(None)
    return {
        "outputs": [json.loads(Serde.to_json(each)) for each in lineage.outputs],
        "run": {key: json.loads(Serde.to_json(each)) for key, each in lineage.run_facets.items()},
    }


@pytest.mark.parametrize(
    ("uri", "namespace", "name"),
    [
        ("s3://bucket/v/a.mp4", "s3://bucket", "v/a.mp4"),
        ("s3a://bucket/a.mp4", "s3://bucket", "a.mp4"),
        ("gcs://bucket/v/a.mp4", "gs://bucket", "v/a.mp4"),
        ("abfss://container/v/a.mp4", "abfs://container", "v/a.mp4"),
        ("file:///data/v/a.mp4", "file", "/data/v/a.mp4"),
        ("file:///data/take#1/?/a%20b.mp4", "file", "/data/take#1/?/a%20b.mp4"),
    ],
)
def test_a_file_is_named_as_other_tools_name_it(uri, namespace, name):
    (output,) = told({"request_id": "the-id", "uri": uri, **FILE})["outputs"]
    assert (output["namespace"], output["name"]) == (namespace, name)
    assert output["facets"]["version"]["datasetVersion"] == FILE["sha256"]
    assert output["outputFacets"]["outputStatistics"]["size"] == 7


def test_each_of_several_files_is_told_and_the_request_once():
    files = [{"uri": f"s3://bucket/{n}.mp4", **FILE} for n in (1, 2)]
    lineage = told({"request_id": "the-id", **files[0], "files": files})
    assert [each["name"] for each in lineage["outputs"]] == ["1.mp4", "2.mp4"]
    assert lineage["run"]["externalQuery"]["externalQueryId"] == "the-id"


def test_a_file_that_was_not_landed_is_told_by_its_request_alone():
    lineage = told({"request_id": "the-id", "uri": None, "output_url": "https://host/a.mp4"})
    assert lineage["outputs"] == []
    assert list(lineage["run"]) == ["externalQuery"]


def test_a_task_that_failed_tells_nothing():
    assert told(None) == {"outputs": [], "run": {}}
