"""The wheel, as a user installs it: what is in it, and that an Airflow in a new environment finds it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import airflow_ltx

pytestmark = pytest.mark.checkout

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    # From a copy, so that nothing is left in the checkout.
    source = tmp_path_factory.mktemp("source") / "project"
    shutil.copytree(
        PROJECT,
        source,
        ignore=shutil.ignore_patterns(
            ".venv", ".matrix", ".node", ".git", "demo-output", "__pycache__", ".*_cache", ".hypothesis"
        ),
    )
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source],
        check=True,
        capture_output=True,
        text=True,
    )
    (built,) = out.glob("*.whl")
    return built


def test_it_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    info = f"airflow_provider_ltx-{airflow_ltx.__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"airflow_ltx", info}
    in_checkout = {
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "airflow_ltx").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith("airflow_ltx/")} == in_checkout
    assert "airflow_ltx/py.typed" in names
    assert f"{info}/licenses/LICENSE" in names


def test_its_metadata_is_what_airflow_and_an_index_read(wheel):
    archive = zipfile.ZipFile(wheel)
    info = f"airflow_provider_ltx-{airflow_ltx.__version__}.dist-info"
    entry_points = archive.read(f"{info}/entry_points.txt").decode()
    assert "[apache_airflow_provider]" in entry_points
    assert "provider_info = airflow_ltx.get_provider_info:get_provider_info" in entry_points
    metadata = archive.read(f"{info}/METADATA").decode()
    for line in (
        "Requires-Python: >=3.11",
        "Requires-Dist: apache-airflow>=3.2.2",
        "License-Expression: Apache-2.0",
        "Classifier: Framework :: Apache Airflow :: Provider",
        "Provides-Extra: emulator",
    ):
        assert line in metadata


def test_an_airflow_in_a_new_environment_finds_it(wheel, tmp_path):
    venv = tmp_path / "venv"
    constraints = PROJECT / "constraints.txt"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [sys.executable, "-m", "venv", venv, *(["--without-pip"] if uv.exists() else [])], check=True
    )
    python = venv / "bin" / "python"
    install = [uv, "pip", "install", "--python", python] if uv.exists() else [python, "-m", "pip", "install"]
    subprocess.run([*install, "-q", "-c", constraints, wheel], check=True, cwd=tmp_path)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))},
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }

    def airflow(*arguments: str) -> list[dict[str, str]]:
        output = subprocess.run(
            [venv / "bin" / "airflow", *arguments, "--output", "json"],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(output.stdout[output.stdout.index("[") :])

    (listed,) = [p for p in airflow("providers", "list") if p["package_name"] == "airflow-provider-ltx"]
    assert listed["version"] == airflow_ltx.__version__
    (hook,) = [h for h in airflow("providers", "hooks") if h["connection_type"] == "segmind"]
    assert hook["class"] == "airflow_ltx.hooks.segmind.SegmindHook"
    assert hook["conn_id_attribute_name"] == "segmind_conn_id"
