"""What Airflow reads about the provider, against Airflow's own schema and loaders."""

from __future__ import annotations

import json
from importlib import import_module, metadata
from pathlib import Path

import airflow
import pytest
from jsonschema import ValidationError, validate

import airflow_ltx
from airflow_ltx.durability.policies import CHOICES
from airflow_ltx.get_provider_info import get_provider_info

INFO = get_provider_info()


def test_it_fits_the_schema_that_airflow_checks_at_its_start():
    schema = Path(airflow.__file__).with_name("provider_info.schema.json")
    validate(INFO, json.loads(schema.read_text()))


def test_the_package_name_is_the_distributions():
    # Airflow refuses to start if the two differ.
    assert metadata.distribution(INFO["package-name"]).version == airflow_ltx.__version__


@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers"])
def test_every_named_module_exists(kind):
    for entry in INFO[kind]:
        for module in entry["python-modules"]:
            assert import_module(module)


def test_every_module_of_a_kind_is_named():
    root = Path(airflow_ltx.__file__).parent
    for kind in ("hooks", "operators", "sensors", "triggers"):
        public = {
            f"airflow_ltx.{kind}.{path.stem}"
            for path in (root / kind).glob("*.py")
            if not path.stem.startswith("_")
            and path.stem not in ("astray", "deferral", "event", "early_event", "landing", "watch")
        }
        assert public == {module for entry in INFO[kind] for module in entry["python-modules"]}


def test_every_transfer_is_named_and_exists():
    root = Path(airflow_ltx.__file__).parent / "transfers"
    public = {f"airflow_ltx.transfers.{path.stem}" for path in root.glob("*.py") if path.stem[0] != "_"}
    named = {entry["python-module"] for entry in INFO["transfers"]}
    assert named == public
    assert all(map(import_module, named))


def test_the_connection_type_is_the_hooks():
    (connection,) = INFO["connection-types"]
    module, _, name = connection["hook-class-name"].rpartition(".")
    hook = getattr(import_module(module), name)
    assert (hook.conn_type, hook.hook_name) == (connection["connection-type"], connection["hook-name"])


def test_airflow_finds_the_hook_and_its_form():
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    assert "airflow-provider-ltx" in manager.providers
    assert manager.hooks["segmind"].hook_name == "Segmind"
    behaviour = manager.field_behaviours["segmind"]
    assert behaviour["relabeling"]["password"] == "API key"
    fields = {name.rpartition("__")[2] for name in manager.connection_form_widgets if "segmind" in name}
    assert fields == {
        "timeout",
        "requests_per_minute",
        "history_url",
        "upload_url",
        "allow_private_hosts",
        *CHOICES,
    }


@pytest.mark.parametrize("policy", CHOICES)
def test_the_form_offers_each_policys_values_or_none_of_them(policy):
    (connection,) = INFO["connection-types"]
    schema = connection["conn-fields"][policy]["schema"]
    assert schema["enum"] == [*CHOICES[policy], None]
    for value in schema["enum"]:
        validate(value, schema)
    with pytest.raises(ValidationError):
        validate("forget", schema)


@pytest.mark.parametrize("policy", CHOICES)
def test_airflow_knows_each_policy_as_an_option_that_is_not_set(policy, monkeypatch):
    from airflow.configuration import conf as of_airflow
    from airflow.sdk.configuration import conf as of_tasks

    told = of_airflow.configuration_description["segmind"]["options"][policy]
    assert told["default"] is None
    assert f"The default is {CHOICES[policy][0]}." in told["description"]
    for conf in (of_airflow, of_tasks):
        assert conf.get("segmind", policy, fallback=None) is None
    monkeypatch.setenv(f"AIRFLOW__SEGMIND__{policy.upper()}", CHOICES[policy][1])
    for conf in (of_airflow, of_tasks):
        assert conf.get("segmind", policy, fallback=None) == CHOICES[policy][1]
