"""Importing an operator must be cheap: DAG files are parsed again and again."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

_MEASURE = """
import json, sys, time
import airflow.sdk
before = set(sys.modules)
start = time.perf_counter()
import airflow_ltx.operators.ltx
elapsed = time.perf_counter() - start
print(json.dumps({"seconds": elapsed, "modules": sorted(set(sys.modules) - before)}))
"""


def _import_in_a_new_process() -> dict:
    output = subprocess.run([sys.executable, "-c", _MEASURE], capture_output=True, text=True, check=True)
    return json.loads(output.stdout.splitlines()[-1])


def test_an_operator_brings_neither_client_nor_landing_nor_other_providers():
    modules = _import_in_a_new_process()["modules"]
    assert "airflow_ltx.operators.ltx" in modules
    forbidden = (
        "airflow_ltx.segmind.client",
        "airflow_ltx.landing",
        "airflow.providers",
        "airflow_ltx.hooks",
    )
    assert [name for name in modules if name.startswith(forbidden)] == []
    assert {name.partition(".")[0] for name in modules} == {"airflow_ltx"}


def test_an_operator_adds_under_30_ms_to_the_import_of_airflow():
    assert statistics.median(_import_in_a_new_process()["seconds"] for _ in range(9)) < 0.030


def test_the_api_layer_works_without_airflow():
    code = (
        "import sys; from airflow_ltx.segmind import SegmindClient, ClientConfig; "
        "import airflow_ltx.segmind.download, airflow_ltx.segmind.waiting; "
        "print([m for m in sys.modules if m == 'airflow' or m.startswith('airflow.')])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"
