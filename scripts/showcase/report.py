"""The demo's closing words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


def plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def xcom_rows(xcoms: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Dotted key and value of everything a task published, the result's own fields one a row."""
    rows: list[tuple[str, str]] = []
    for key in sorted(xcoms, key=lambda name: (name != "return_value", name)):
        value = xcoms[key]
        if isinstance(value, dict):
            rows += [(f"{key}.{name}", plain(field)) for name, field in value.items()]
        else:
            rows.append((key, plain(value)))
    return rows


def aligned(rows: Iterable[tuple[str, str]], indent: str = "  ") -> str:
    table = list(rows)
    width = max((len(name) for name, _ in table), default=0)
    return "\n".join(f"{indent}{name:<{width}}  {value}".rstrip() for name, value in table)


def local_path(uri: str) -> Path:
    """The file that a file:// URI names."""
    parts = urlsplit(uri)
    if parts.scheme != "file":
        raise ValueError(f"{uri} is not a file:// URI")
    literal = Path(uri.removeprefix("file://"))
    # Airflow writes paths unquoted; a tool that quotes them is right too.
    return literal if literal.exists() else Path(unquote(parts.path))


def relative(path: Path, here: Path) -> str:
    """As the reader would type it."""
    return f"./{path.relative_to(here)}" if path.is_relative_to(here) else str(path)


def dollars(amount: float | None) -> str:
    return "unknown (the service did not say)" if amount is None else f"{amount:.4f} USD"


@dataclass(frozen=True)
class Book:
    """The emulator's ledger in two numbers: submits that arrived, refused ones included, and their price."""

    submits: int
    billed: float

    @classmethod
    def of(cls, ledger: Mapping[str, Any]) -> Book:
        return cls(submits=int(ledger["submits"]), billed=float(ledger["billed"]))
