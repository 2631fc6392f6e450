"""What a benchmark leaves: a JSON file, which the plots are drawn from, and a table to read."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "results"
_PACKAGES = ("apache-airflow", "aiohttp", "httpx")


def save(name: str, content: Any) -> Path:
    """Keep what was measured, and on what."""
    machine = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in _PACKAGES},
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, "measured": content}, indent=1) + "\n")
    return path


def load(name: str) -> Any:
    """What the last run of a benchmark left; None if there was none."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text())["measured"] if path.is_file() else None


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, in columns as wide as they have to be."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (header, *rows)
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


@dataclass(frozen=True)
class Target:
    """What a benchmark is to show.

    :param most: The value that may not be exceeded; with ``at_least``, that has to be reached.
    """

    what: str
    value: float
    most: float
    at_least: bool = False

    @property
    def kept(self) -> bool:
        return self.value >= self.most if self.at_least else self.value <= self.most


def verdict(targets: Sequence[Target]) -> str:
    """A line for each, and whether it was kept."""
    return table(
        ("target", "measured", "limit", ""),
        [
            (
                target.what,
                f"{target.value:.3g}",
                f"{'>=' if target.at_least else '<='} {target.most:g}",
                "kept" if target.kept else "MISSED",
            )
            for target in targets
        ],
    )
