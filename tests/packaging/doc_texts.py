"""The sentences of the code, cut where something is filled in, to find what the documentation quotes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import airflow_ltx

_FILLED_IN = re.compile(r"%(?:\.\d)?[a-z]")
_PLACE = re.compile(r"<\w+>")

Pieces = tuple[str, ...]


@cache
def texts() -> frozenset[Pieces]:
    """The texts of the package but its docstrings and the emulator's: the pieces around what is filled in."""
    root = Path(airflow_ltx.__file__).parent
    return frozenset(
        pieces
        for path in root.rglob("*.py")
        if "emulator" not in path.relative_to(root).parts
        for pieces in _of(ast.parse(path.read_text()))
    )


def holds(text: Pieces, quote: str) -> bool:
    """Whether the quote, with ``<...>`` for what is filled in, is a part of the text."""
    first, *rest = _PLACE.split(quote)
    if not rest:
        return any(first in piece for piece in text)
    *middle, last = rest
    return any(
        text[at].endswith(first)
        and text[at + 1 : at + len(rest)] == tuple(middle)
        and text[at + len(rest)].startswith(last)
        for at in range(len(text) - len(rest))
    )


def _of(tree: ast.AST) -> Iterator[Pieces]:
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in docstrings:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield tuple(_FILLED_IN.split(node.value))
        elif isinstance(node, ast.JoinedStr):
            filled = (part.value if isinstance(part, ast.Constant) else "%s" for part in node.values)
            yield tuple(_FILLED_IN.split("".join(map(str, filled))))
