"""The layers: arrows only go down, and httpx stays in one package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import airflow_ltx

ROOT = Path(airflow_ltx.__file__).parent

LAYERS = {
    "segmind": {"exceptions", "segmind"},
    "emulator": {"emulator"},
    "metrics.py": set(),
    "hooks": {"exceptions", "metrics", "segmind", "hooks"},
    "durability": {"exceptions", "segmind", "hooks", "durability"},
    "landing": {"exceptions", "segmind", "hooks", "landing"},
    "links": set(),
    "failure.py": {"exceptions"},
    "request.py": {"exceptions", "segmind"},
    "triggers": {"durability", "exceptions", "metrics", "segmind", "hooks", "landing", "request", "triggers"},
    "outcome.py": {"landing", "request", "segmind"},
    "collect.py": {"exceptions", "segmind", "hooks", "request", "triggers"},
    "sensors": {
        "collect",
        "exceptions",
        "failure",
        "hooks",
        "links",
        "outcome",
        "request",
        "segmind",
        "triggers",
    },
    "transfers": {
        "collect",
        "exceptions",
        "failure",
        "hooks",
        "landing",
        "links",
        "operators",
        "outcome",
        "request",
        "segmind",
        "triggers",
    },
    "operators": {
        "collect",
        "durability",
        "exceptions",
        "failure",
        "hooks",
        "landing",
        "links",
        "metrics",
        "operators",
        "outcome",
        "request",
        "segmind",
        "triggers",
    },
}


def python_files(part: str) -> list[Path]:
    return [ROOT / part] if part.endswith(".py") else list((ROOT / part).rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_arrows_only_go_down(layer):
    for path in python_files(layer):
        own = {name.split(".")[1] for name in imports(path) if name.startswith("airflow_ltx.")}
        own -= {"__version__"}
        assert own <= LAYERS[layer], path


def test_httpx_is_imported_only_by_the_api_layer():
    users = {path.relative_to(ROOT).parts[0] for path in ROOT.rglob("*.py") if "httpx" in imports(path)}
    assert users == {"segmind"}


@pytest.mark.parametrize("part", ["segmind", "emulator", "exceptions.py"])
def test_the_api_layer_and_the_emulator_know_no_airflow(part):
    for path in python_files(part):
        assert not {name for name in imports(path) if name == "airflow" or name.startswith("airflow.")}, path
