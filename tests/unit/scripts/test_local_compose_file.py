from __future__ import annotations

from pathlib import Path

import pytest

from local_compose.file import Mount, read_services
from local_compose.interpolation import interpolate

FILE = """
x-env: &env
  MODE: ${MODE:-quiet}
services:
  one:
    image: mine:1.0
    build:
      dockerfile_inline: |
        FROM apache/airflow:3.3.2-python3.12
        RUN true
    command: run "it now"
    environment: *env
    expose: ["9000"]
    ports: ["127.0.0.1:${PORT:-8000}:80"]
    volumes: ["./in:/in:ro", "data:/data"]
    healthcheck: {test: curl localhost}
  two:
    image: mine:1.0
    entrypoint: [echo]
    command: [$$HOME]
    healthcheck: {test: [CMD, "true"]}
    depends_on: {one: {condition: service_healthy}}
"""


def services(tmp_path: Path, text: str = FILE, **variables: str):
    file = tmp_path / "docker-compose.yaml"
    file.write_text(text)
    return read_services(file, variables)


def test_a_service_is_read_with_its_variables_filled_in(tmp_path):
    one = services(tmp_path)["one"]
    assert one.base == "apache/airflow:3.3.2-python3.12"
    assert one.arguments == ["run", "it now"]
    assert one.environment == {"MODE": "quiet"}
    assert one.ports == (80, 9000)
    assert one.mounts == (Mount("./in", "/in", read_only=True), Mount("data", "/data", read_only=False))
    assert [mount.is_folder for mount in one.mounts] == [True, False]
    assert one.test == ("/bin/sh", "-c", "curl localhost")
    assert services(tmp_path, MODE="loud")["one"].environment == {"MODE": "loud"}


def test_an_image_that_another_service_builds_has_its_base(tmp_path):
    two = services(tmp_path)["two"]
    assert two.base == "apache/airflow:3.3.2-python3.12"
    assert two.arguments == ["echo", "$HOME"]
    assert two.test == ("true",)
    assert two.depends_on == {"one": "service_healthy"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("image: mine:1.0\n    entrypoint", "image: mine:1.0\n    env_file: x\n    entrypoint"), "env_file"),
        (("${MODE:-quiet}", "${MODE}"), "neither"),
        (("${MODE:-quiet}", "true"), "MODE is true, and not text"),
        (("${MODE:-quiet}", ""), "MODE is null, and not text"),
        (("data:/data", "data:/data:z"), "not of the form"),
        (("[CMD, ", "[EXEC, "), "a health check of kind EXEC"),
        (("RUN true", "FROM python:3.12.1"), "2 stages"),
    ],
)
def test_what_a_local_run_would_leave_out_is_an_error(tmp_path, change, message):
    assert change[0] in FILE
    with pytest.raises(ValueError, match=message):
        services(tmp_path, FILE.replace(*change))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A:-x}/${B:-y}", "1/y"),
        ("${C:-empty counts as unset}", "empty counts as unset"),
        ("${B:-}", ""),
        ("$$A $${A}", "$A ${A}"),
        ("no variable", "no variable"),
    ],
)
def test_variables_are_filled_in(text, expected):
    assert interpolate(text, {"A": "1", "C": ""}) == expected
    assert interpolate({"k": [text, 1, None]}, {"A": "1", "C": ""}) == {"k": [expected, 1, None]}


@pytest.mark.parametrize("text", ["$A", "${A}", "${A-x}", "${A:?needed}", "${A:+x}", "ends with $"])
def test_a_variable_without_a_default_is_an_error(text):
    with pytest.raises(ValueError, match="neither"):
        interpolate(text, {"A": "1"})
