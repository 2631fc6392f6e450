"""The commands, connections and settings of the documentation, read by the code that would run them."""

from __future__ import annotations

import json
import re
import shlex
import urllib.request
from itertools import pairwise

from airflow.sdk import Connection
from doc_snippets import DOCS, snippets

from airflow_ltx.hooks._connection import client_config

PROJECT = DOCS.parent
EMULATOR_URL = "http://127.0.0.1:8787"
CONNECTION_KEYS = ("SG_...", "any-text")


def commands() -> list[tuple[str, str]]:
    """(where, command) for each command line; a backslash continues one."""
    found = []
    for snippet in snippets("bash"):
        joined = snippet.code.replace("\\\n", " ")
        found += [(f"{snippet.name}:{n}", line) for n, line in enumerate(joined.splitlines()) if line.strip()]
    return found


def check(line: str, emulator_url: str) -> None:
    """Fail if the command, or one of its options, does not exist; what calls the emulator is called."""
    words = shlex.split(line)
    while words and (setting := re.fullmatch(r"([A-Z_0-9]+)=(.*)", words[0])):
        check_variable(*setting.groups())
        words = words[1:]
    match words:
        case ["make", target]:
            assert re.search(rf"^{target}:", (PROJECT / "Makefile").read_text(), re.MULTILINE)
        case ["pip", "install", "."]:
            pass
        case ["pip", "install", package]:
            extra = re.fullmatch(r"\.\[(\w+)\]", package)
            assert extra
            assert re.search(rf"^{extra[1]} = \[", (PROJECT / "pyproject.toml").read_text(), re.MULTILINE)
        case ["export", assignment]:
            check_variable(*assignment.split("=", 1))
        case ["python", "-m", "airflow_ltx.emulator", *options]:
            check_emulator(options)
        case ["airflow", *arguments]:
            check_airflow(arguments)
        case ["curl", *arguments]:
            call_emulator(arguments, emulator_url)
        case _:
            raise AssertionError(f"no way to check {line!r}")


def check_variable(name: str, value: str) -> None:
    if name.startswith("AIRFLOW_CONN_"):
        assert client_config(read_connection(value)).api_key in CONNECTION_KEYS
    else:
        check_option(*re.fullmatch(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)", name).groups())


def check_option(section: str, option: str) -> None:
    from airflow.configuration import conf

    options = conf.configuration_description[section.lower()]["options"]
    assert option.lower() in options, f"[{section}] {option}"


def check_emulator(options: list[str]) -> None:
    from airflow_ltx.emulator import cli

    cli._settings(cli._parser().parse_args(options))


def check_airflow(arguments: list[str]) -> None:
    from airflow.cli.cli_parser import get_parser

    read = get_parser().parse_args([word.replace("$SEGMIND_API_KEY", "SG_...") for word in arguments])
    if getattr(read, "conn_type", None):
        connection = Connection(
            conn_id="c", conn_type=read.conn_type, host=read.conn_host, password=read.conn_password
        )
        assert client_config(connection).api_key in CONNECTION_KEYS


def call_emulator(arguments: list[str], base_url: str) -> None:
    method, data, (url,) = None, None, [word for word in arguments if word.startswith("http")]
    for flag, value in pairwise(arguments):
        method = value if flag == "-X" else method
        data = value if flag == "-d" else data
    assert url.startswith(EMULATOR_URL)
    request = urllib.request.Request(  # noqa: S310 - loopback
        url.replace(EMULATOR_URL, base_url), method=method, data=None if data is None else data.encode()
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        assert isinstance(json.loads(answer.read()), dict)


def read_connection(value: str) -> Connection:
    if value.lstrip().startswith("{"):
        return Connection.from_json(value, conn_id="c")
    return Connection.from_uri(value, conn_id="c")
