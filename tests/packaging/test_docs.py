"""What the documentation shows is run as it stands, and what it lists is complete."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import doc_commands
import doc_snippets
import doc_texts
import pytest
from airflow.sdk import BaseSensorOperator, Connection
from doc_commands import CONNECTION_KEYS, EMULATOR_URL, check_option, read_connection
from doc_snippets import DIRECTIVES, PLAIN_LANGUAGES, PYTHON_WAYS, Snippet, snippets

from airflow_ltx import exceptions
from airflow_ltx.durability.beside import FOLDER, Whose
from airflow_ltx.durability.policies import CHOICES
from airflow_ltx.durability.record import MOST
from airflow_ltx.durability.task_state import KEY as STATE_KEY
from airflow_ltx.emulator.faults import FaultEndpoint
from airflow_ltx.exceptions import SegmindError
from airflow_ltx.get_provider_info import get_provider_info
from airflow_ltx.hooks._connection import client_config
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.operators.segmind import SegmindSubmitOperator
from airflow_ltx.outcome import Outcome
from airflow_ltx.segmind.ltx import ASPECT_RATIOS, LENGTHS, TARGET_SIZES
from airflow_ltx.segmind.models import State, SubmittedRequest
from airflow_ltx.sensors.segmind import SegmindRequestSensor
from airflow_ltx.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator
from airflow_ltx.triggers.event import STATUSES
from airflow_ltx.triggers.segmind import SegmindRequestTrigger
from runner import HAS_TASK_STATE
from segmind_service import KEY

SETTINGS = {"timeout", "requests_per_minute", "history_url", "upload_url", "allow_private_hosts"}

USUAL_IMPORTS = "from airflow.sdk import DAG\nwith DAG('fragment', schedule=None):\n"


def each(*found: list[Snippet]):
    return pytest.mark.parametrize(
        "snippet", [snippet for group in found for snippet in group], ids=lambda snippet: snippet.name
    )


def test_no_block_escapes():
    for path in doc_snippets.pages():
        fences = re.findall(r"^[ :>*-]*(?:`{3,}|~{3,})", path.read_text(), re.MULTILINE)
        page = str(path.relative_to(doc_snippets.DOCS))
        assert len(fences) == 2 * len([s for s in snippets() if s.page == page]), path
        assert doc_snippets.unmatched_marks(path) == 0, path
    for snippet in snippets():
        if snippet.language == "python":
            assert snippet.way in PYTHON_WAYS, f"{snippet.name} does not say how it is run"
        else:
            assert snippet.language in (*PLAIN_LANGUAGES, *DIRECTIVES), snippet.name
            assert snippet.way == "", snippet.name


@pytest.mark.checkout
def test_the_site_builds_without_a_warning_and_without_a_network(tmp_path):
    # Every proxy leads nowhere: what would reach for the network fails.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    built = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-b", "html"),
            *("-d", tmp_path / "doctrees", doc_snippets.DOCS, tmp_path / "html"),
        ],
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "html" / "index.html").is_file()


# --- Python -----------------------------------------------------------------------------------------------


@each(snippets("python", "dag"), snippets("python", "in-dag"))
def test_dags_can_be_parsed(snippet, tmp_path):
    from airflow.dag_processing.dagbag import DagBag

    source = snippet.code
    if snippet.way == "in-dag":
        source = USUAL_IMPORTS + "".join(f"    {line}" for line in source.splitlines(keepends=True))
    file = tmp_path / "snippet.py"
    file.write_text(source)
    bag = DagBag(dag_folder=file)
    assert bag.import_errors == {}
    (dag,) = bag.dags.values()
    assert dag.tasks


@pytest.mark.parametrize("page", sorted({s.page for s in snippets("python", "emulator", "continued")}))
def test_scripts_run_against_the_emulator(page, segmind, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for snippet in snippets("python", "emulator", "continued"):
        if snippet.page == page:
            if snippet.way == "emulator":
                namespace = {"__name__": "__main__"}
            source = snippet.source.replace(EMULATOR_URL, segmind.base_url).replace('"SG_..."', f'"{KEY}"')
            exec(compile(source, doc_snippets.DOCS / page, "exec"), namespace)


@pytest.mark.parametrize("page", sorted({s.page for s in snippets("python", "pytest")}))
def test_test_suites_pass(page, tmp_path):
    for snippet in snippets("python", "pytest"):
        if snippet.page == page:
            tmp_path.joinpath(snippet.argument).write_text(snippet.code)
    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    shown = "".join(s.code for s in snippets("python", "pytest") if s.page == page)
    assert re.search(rf"\b{shown.count('def test_')} passed", outcome.stdout)


# --- Commands, connections, configuration ----------------------------------------------------------------


@pytest.mark.parametrize(("where", "line"), doc_commands.commands(), ids=lambda value: str(value)[:60])
def test_commands_exist_with_their_options(where, line, segmind):
    doc_commands.check(line, segmind.base_url)


def shown_connections() -> list[tuple[str, str]]:
    found = [(s.name, s.code) for s in snippets("json")]
    for path in doc_snippets.pages():
        for value in re.findall(r"`(segmind://[^`]+|\{\"conn_type\"[^`]+\})`", path.read_text()):
            found.append((path.name, value))
    return found


@pytest.mark.parametrize(("where", "value"), shown_connections())
def test_connections_are_read(where, value):
    config = client_config(read_connection(value))
    assert config.api_key in CONNECTION_KEYS
    if EMULATOR_URL.removeprefix("http://") in value:
        assert config.base_url == EMULATOR_URL


def test_the_extras_of_a_connection_are_those_that_are_read():
    page = doc_snippets.text("guide/install.md")
    shown = set(re.findall(r"^\| extra `(\w+)`", page, re.MULTILINE))
    (example,) = (json.loads(s.code) for s in snippets("json") if s.page == "guide/install.md")
    assert shown == set(example["extra"]) == SETTINGS | set(CHOICES)
    config = client_config(Connection.from_json(json.dumps(example), conn_id="c"))
    for name, value in example["extra"].items():
        assert value in CHOICES[name] if name in CHOICES else getattr(config, name) == value
    (form,) = get_provider_info()["connection-types"]
    assert set(form["conn-fields"]) == shown, "the page says that the form has them"


def test_the_answer_of_a_connection_test_is_the_one_shown(segmind):
    assert f"# {SegmindHook().test_connection()}\n" in doc_snippets.text("guide/install.md")


@each(snippets("ini"))
def test_configuration_exists(snippet):
    from configparser import ConfigParser

    read = ConfigParser()
    read.read_string(snippet.code)
    for section in read.sections():
        for option in read.options(section):
            check_option(section, option)


def test_every_setting_of_airflow_that_is_named_exists():
    for path in doc_snippets.pages():
        for section, option in re.findall(r"`\[(\w+)\] (\w+)", path.read_text()):
            # The section came with the task state.
            if HAS_TASK_STATE or section != "state_store":
                check_option(section, option)


# --- Completeness -----------------------------------------------------------------------------------------


def tables(page: str, header: str) -> list[str]:
    """The lines of the page's tables whose first column has this header."""
    found = re.findall(rf"^\| {header} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", doc_snippets.text(page), re.MULTILINE)
    assert found, f"{page} has no table of {header}"
    return found


def rows(page: str, header: str) -> set[str]:
    """The names in code style in the first column of the page's tables with this header."""
    cells = [line.split("|")[1] for table in tables(page, header) for line in table.splitlines()]
    return {re.split(r"[(= ]", name)[0] for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def arguments(*classes: type) -> set[str]:
    found = {name for cls in classes for name in inspect.signature(cls.__init__).parameters}
    return found - {"self", "kwargs", "newer", "args"}


def errors() -> list[type[SegmindError]]:
    return [
        value
        for value in vars(exceptions).values()
        if isinstance(value, type) and issubclass(value, SegmindError)
    ]


def test_every_error_is_in_the_table():
    shown = rows("guide/errors.md", "error")
    assert {error.__name__ for error in errors()} - shown == set()
    of_airflow = {"AirflowSensorTimeout", "AirflowTaskTimeout", "'ds'"}
    assert shown - {error.__name__ for error in errors()} == of_airflow


@pytest.mark.parametrize("error", [error for error in errors() if not error.retryable])
def test_errors_that_no_retry_mends_are_said_to_fail_for_good(error):
    lines = [
        line
        for line in doc_snippets.text("guide/errors.md").splitlines()
        if line.startswith(f"| `{error.__name__}` |")
    ]
    assert lines
    assert any("for good" in line for line in lines)


def test_every_argument_of_the_operators_is_documented():
    taken = arguments(LTXSubmitOperator, SegmindSubmitOperator)
    assert taken ^ rows("guide/operators.md", "argument") == {"model", "parameters"}


@pytest.mark.parametrize(
    ("page", "header"), [("guide/operators.md", "argument"), ("guide/install.md", "field")]
)
def test_the_values_of_each_policy_are_shown_and_the_default_is_the_default(page, header):
    (table,) = [found for found in tables(page, header) if "`on_clear`" in found]
    for name, values in CHOICES.items():
        (line,) = [line for line in table.splitlines() if f"`{name}`" in line.split("|")[1]]
        *_, told, default = line.strip("| ").split("|")
        assert re.findall(r'`"?(\w+)"?`', told) == list(values)
        assert re.findall(r'`"?(\w+)"?`', default) == [values[0]]


def test_the_page_on_money_tells_each_policy_its_default_and_its_other_value():
    (table,) = tables("guide/money.md", "policy")
    shown = {}
    for line in table.splitlines():
        name, _, *values = line.strip("| ").split("|")
        shown[name.strip(" `")] = tuple(re.findall(r"`(\w+)`: ", value)[0] for value in values)
    assert shown == CHOICES


def test_every_value_that_the_model_takes_is_in_the_table():
    page = doc_snippets.text("guide/operators.md")
    for name, values in (("aspect_ratio", ASPECT_RATIOS), ("target_size", TARGET_SIZES), ("length", LENGTHS)):
        (cell,) = re.findall(rf"^\| `{name}` \|([^|]*)\|", page, re.MULTILINE)
        pattern = r"\d+:\d+" if name == "aspect_ratio" else r"\b\d{2,}\b"
        assert tuple(re.findall(pattern, cell)) == tuple(map(str, values))


def test_every_key_of_the_return_value_is_documented():
    keys = Outcome(SubmittedRequest("id", "model", 0.0), State.QUEUED).to_xcom()
    assert rows("guide/operators.md", "key") == {*keys, "video_url", "video_uri"}


def test_every_argument_of_the_sensor_is_documented():
    shown = rows("guide/sensor.md", "argument")
    assert arguments(SegmindRequestSensor) <= shown <= arguments(SegmindRequestSensor, BaseSensorOperator)


def test_every_argument_of_the_transfer_is_documented():
    assert rows("guide/transfer.md", "argument") == arguments(SegmindToObjectStorageOperator)


def test_every_argument_of_the_trigger_and_every_status_of_its_event_is_documented():
    assert rows("guide/trigger.md", "argument") == arguments(SegmindRequestTrigger)
    assert rows("guide/trigger.md", "status") == STATUSES


def test_every_method_of_the_hook_is_documented():
    own = {
        name
        for name, value in vars(SegmindHook).items()
        if not name.startswith("_") and inspect.isfunction(value)
    }
    (table,) = re.findall(r"^\| method \|.*\n((?:\|.*\n)+)", doc_snippets.text("guide/hook.md"), re.MULTILINE)
    named = set(re.findall(r"`(\w+)(?:\([^`]*\))?`", table))
    assert own ^ named == {"get_conn", "aget_conn"}


def test_every_option_of_the_emulator_is_documented():
    from airflow_ltx.emulator.cli import _parser

    known = {option for action in _parser()._actions for option in action.option_strings}
    assert known ^ rows("guide/emulator.md", "option") == {"-h", "--help"}


def test_every_endpoint_that_can_fail_is_documented():
    page = doc_snippets.text("guide/emulator.md")
    (cell,) = re.findall(r"^\| endpoint \|([^|]*)\|", page, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", cell)) == set(get_args(FaultEndpoint))


def test_every_fault_that_is_shown_is_understood():
    from airflow_ltx.emulator import FaultRule

    page = doc_snippets.text("guide/emulator.md")
    shown = re.findall(r"^\| `((?:\w+):(?:before|after):[^`]+)` \|", page, re.MULTILINE)
    assert len(shown) > 3
    for rule in shown:
        FaultRule.from_compact(rule)


def test_every_address_of_the_emulator_exists(segmind):
    page = doc_snippets.text("guide/emulator.md")
    shown = set(re.findall(r"^\| `(\w+) (/_emulator/\w+)` \|", page, re.MULTILINE))
    from airflow_ltx.emulator.admin import Admin

    served = {(route.method, route.path) for route in Admin(segmind.core, None).routes()}  # type: ignore[arg-type]
    assert shown == served


# --- What the log says ------------------------------------------------------------------------------------


def logged_lines() -> list[str]:
    """What the tables of cases quote of the log, and what the list of holes does."""
    cells = [
        line.split("|")[3]
        for table in tables("guide/money.md", "what happens")
        for line in table.splitlines()
    ]
    quoted = [quote for cell in cells for quote in re.findall(r"`([^`]+)`", cell)]
    assert len(quoted) > 40
    return [*quoted, *re.findall(r"the log says so: `([^`]+)`", doc_snippets.text("guide/record.md"))]


@pytest.mark.parametrize("line", sorted(set(logged_lines())))
def test_every_line_of_the_log_that_is_quoted_is_one_that_the_code_writes(line):
    assert any(doc_texts.holds(text, line) for text in doc_texts.texts())


def test_a_line_that_the_code_does_not_write_is_found_out():
    line = "Reattached to request <id>, sold <age> s ago"
    assert not any(doc_texts.holds(text, line) for text in doc_texts.texts())


def test_the_page_on_the_record_names_its_places():
    page = doc_snippets.text("guide/record.md")
    assert f"key `{STATE_KEY}`" in page
    assert f"/state-store/{STATE_KEY}?" in page
    assert f"the folder `{FOLDER}/`" in page
    assert f"last {MOST} requests" in page
    assert f"more than {MOST} different requests" in page
    for shown, map_index in (("<task_id>.<digest>.json", -1), ("<task_id>.<map_index>.<digest>.json", 3)):
        assert f"`{shown}`" in page
        pattern = re.escape(shown).replace("<task_id>", "video").replace("<map_index>", "3")
        name = Whose("dag", "run", "video", map_index).file_name
        assert re.fullmatch(pattern.replace("<digest>", "[0-9a-f]+"), name)


def test_every_page_is_in_the_table_of_contents():
    named = {
        line.strip()
        for snippet in snippets("{toctree}")
        for line in snippet.code.splitlines()
        if line.strip() and not line.startswith(":")
    }
    listed = {Path(name).name for name in named}
    assert {path.stem for path in doc_snippets.pages()} - listed - {"index"} == set()
