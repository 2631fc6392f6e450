"""Variables in a compose file, as `docker compose` fills them in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_REFERENCE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_]\w*):-(?P<default>[^{}$]*)\}|(?P<other>.{0,20}))", re.DOTALL
)


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """A parsed file with its variables filled in; an empty variable counts as unset.

    Of the syntax only `$$` and `${NAME:-default}` are taken: with a variable that has no default, `docker
    compose up` would not do in a fresh checkout. Raises ValueError.
    """
    if isinstance(value, dict):
        return {key: interpolate(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, variables) for item in value]
    return _fill(value, variables) if isinstance(value, str) else value


def _fill(text: str, variables: Mapping[str, str]) -> str:
    def filled(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        if match["name"] is None:
            raise ValueError(f"${match['other']}: neither $$ nor ${{NAME:-default}}")
        return variables.get(match["name"], "") or match["default"]

    return _REFERENCE.sub(filled, text)
