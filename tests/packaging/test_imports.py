"""Importing an operator must be cheap: DAG files are parsed again and again."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

import pytest

# What any DAG file that names an operator or a sensor of its own has loaded before ours comes.
_MEASURE = """
import json, sys, time
from airflow.sdk import DAG, BaseOperator, BaseOperatorLink, BaseSensorOperator
before = set(sys.modules)
# Of the CPU: how long the machine lets others go first is no matter of the module.
start = time.process_time()
import {module}
elapsed = time.process_time() - start
print(json.dumps({{"seconds": elapsed, "modules": sorted(set(sys.modules) - before)}}))
"""

MODULES = [
    "airflow_ltx.operators.ltx",
    "airflow_ltx.sensors.segmind",
    "airflow_ltx.transfers.segmind_to_object_storage",
]


def _import_in_a_new_process(module: str) -> dict:
    output = subprocess.run(
        [sys.executable, "-c", _MEASURE.format(module=module)], capture_output=True, text=True, check=True
    )
    return json.loads(output.stdout.splitlines()[-1])


@pytest.mark.parametrize("module", MODULES)
def test_it_brings_neither_client_nor_landing_nor_other_providers(module):
    modules = _import_in_a_new_process(module)["modules"]
    assert module in modules
    forbidden = (
        "airflow_ltx.segmind.async_client",
        "airflow_ltx.segmind.client",
        "airflow_ltx.landing",
        "airflow.providers",
        "airflow_ltx.hooks",
    )
    assert [name for name in modules if name.startswith(forbidden)] == []
    assert {name.partition(".")[0] for name in modules} == {"airflow_ltx"}


@pytest.mark.parametrize("module", MODULES)
def test_it_adds_under_30_ms_to_the_import_of_airflow(module):
    assert statistics.median(_import_in_a_new_process(module)["seconds"] for _ in range(5)) < 0.030


def test_the_api_layer_works_without_airflow():
    code = (
        "import sys; from airflow_ltx.segmind import SegmindClient, ClientConfig; "
        "import airflow_ltx.segmind.download, airflow_ltx.segmind.waiting; "
        "print([m for m in sys.modules if m == 'airflow' or m.startswith('airflow.')])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"
