"""The Airflows that the package allows are those that `make matrix` runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads(PROJECT.joinpath("pyproject.toml").read_text())
GROUPS = PYPROJECT["dependency-groups"]
DEPENDENCIES = PYPROJECT["project"]["dependencies"]
LEAST = dict(re.fullmatch(r"([a-z-]+)>=(.+)", name).groups() for name in DEPENDENCIES)


def pins(file: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w-]+)==(\S+)", PROJECT.joinpath(file).read_text(), re.MULTILINE))


def test_the_oldest_airflow_of_the_matrix_is_the_oldest_that_may_be_installed():
    oldest = LEAST["apache-airflow"]
    assert f"apache-airflow=={oldest}" in GROUPS["oldest"]
    pinned = pins(f"constraints-{oldest}.txt")
    assert pinned["apache-airflow"] == pinned["apache-airflow-core"] == oldest


def test_the_newest_airflow_of_the_matrix_is_of_the_release_that_all_other_tests_use():
    major, minor, _ = pins("constraints.txt")["apache-airflow"].split(".")
    assert f"apache-airflow>={major}.{minor},<{major}.{int(minor) + 1}" in GROUPS["newest"]


def test_every_tool_of_the_matrix_is_pinned_for_the_oldest():
    pinned = pins(f"constraints-{LEAST['apache-airflow']}.txt")
    tools = [re.split("[=<>]", name)[0] for name in GROUPS["test"]]
    assert [name for name in tools if name not in pinned] == []
