from __future__ import annotations

from pathlib import Path

import pytest

from local_airflow.environment import child_environment, is_foreign, without_proxy_for_loopback

HOME = Path("/stack")


@pytest.mark.parametrize(
    "name",
    [
        "AIRFLOW_HOME",
        "AIRFLOW__CORE__EXECUTOR",
        "AIRFLOW_CONN_SEGMIND_DEFAULT",
        "AWS_SECRET_ACCESS_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "AZURE_CLIENT_SECRET",
        "SEGMIND_API_KEY",
        "PYTHONDONTWRITEBYTECODE",
    ],
)
def test_what_would_make_it_somebody_elses_airflow_is_left_out(name: str):
    assert is_foreign(name)
    assert child_environment({name: "x"}, home=HOME, extra={}).get(name) != "x"


def test_the_rest_of_the_callers_environment_is_kept():
    assert child_environment({"PATH": "/bin", "LANG": "C"}, home=HOME, extra={})["LANG"] == "C"


def test_what_was_asked_for_wins():
    environment = child_environment(
        {"AWS_ACCESS_KEY_ID": "mine"}, home=HOME, extra={"AWS_ACCESS_KEY_ID": "test", "NO_PROXY": "x"}
    )
    assert environment["AWS_ACCESS_KEY_ID"] == "test"
    assert environment["NO_PROXY"] == "x"
    assert environment["AIRFLOW_HOME"] == "/stack"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("", "127.0.0.1,localhost,::1"),
        ("corp.example, localhost", "corp.example,localhost,127.0.0.1,::1"),
        ("*", "*"),
    ],
)
def test_components_reach_each_other_past_a_proxy(given: str, wanted: str):
    assert without_proxy_for_loopback(given) == wanted
    assert child_environment({"no_proxy": given}, home=HOME, extra={})["NO_PROXY"] == wanted
