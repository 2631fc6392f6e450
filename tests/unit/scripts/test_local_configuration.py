from __future__ import annotations

import configparser
import json
from pathlib import Path

import pytest

from local_airflow.configuration import (
    QUICK,
    Layout,
    Secrets,
    base_settings,
    bundles,
    database_url,
    merge,
    render,
)


def base(folders: list[Path]) -> dict[str, dict[str, str]]:
    return merge(
        base_settings(
            Layout(Path("/home/of/stack")),
            folders,
            port=1234,
            log_port=2345,
            username="admin",
            secrets=Secrets(fernet="f", jwt="j", session="s"),
            parallelism=3,
        )
    )


def read(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read_string(text)
    return parser


def test_what_is_rendered_is_read_back():
    settings = {"core": {"a": "1", "b": 'per%cent "quoted" {json}'}, "api": {"port": "80"}}
    parser = read(render(settings))
    assert {name: dict(parser[name]) for name in parser.sections()} == settings


def test_a_line_break_is_refused_and_named():
    with pytest.raises(ValueError, match=r"\[core\] x"):
        render({"core": {"x": "a\nb"}})


def test_later_layers_win_option_by_option():
    first = {"core": {"a": "1", "b": "1"}}
    assert merge(first, {"core": {"b": "2"}, "api": {"c": "3"}}) == {
        "core": {"a": "1", "b": "2"},
        "api": {"c": "3"},
    }
    assert first == {"core": {"a": "1", "b": "1"}}, "a layer was changed"


def test_everything_stays_on_loopback():
    settings = base([Path("/dags")])
    assert settings["api"]["host"] == "127.0.0.1"
    assert settings["core"]["execution_api_server_url"] == "http://127.0.0.1:1234/execution/"
    assert settings["usage_data_collection"]["enabled"] == "False"
    assert settings["core"]["load_examples"] == "False"
    assert settings["core"]["simple_auth_manager_all_admins"] == "False"
    assert settings["core"]["parallelism"] == "3"


def test_one_bundle_per_folder_even_of_the_same_name():
    parsed = json.loads(bundles([Path("/a/dags"), Path("/b/dags")]))
    assert [entry["kwargs"]["path"] for entry in parsed] == ["/a/dags", "/b/dags"]
    assert len({entry["name"] for entry in parsed}) == 2


def test_bundles_survive_the_configuration_file():
    folder = Path('/with space/and "quotes" 100%')
    parser = read(render(base([folder])))
    parsed = json.loads(parser["dag_processor"]["dag_bundle_config_list"])
    assert parsed[0]["kwargs"]["path"] == str(folder)


def test_writers_wait_for_each_other():
    assert database_url(Path("/x/airflow.db")) == "sqlite:////x/airflow.db?timeout=60"


def test_quick_settings_notice_a_finished_leg_within_a_second():
    assert QUICK["workers"]["min_heartbeat_interval"] == "1"
