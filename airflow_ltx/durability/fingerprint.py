"""What makes two purchases the same, as digests: a record holds no prompt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from airflow_ltx.segmind.numbers import number_or_none
from airflow_ltx.segmind.redact import unsigned


def fingerprint(model: str, parameters: Mapping[str, Any]) -> str:
    """A digest of what an author asks for. URLs count without their query: a link signed anew is the same
    picture."""
    return _digest({"model": model, "parameters": unsigned(dict(parameters))})


def marks(parameters: Mapping[str, Any]) -> dict[str, str]:
    """A digest of each parameter of a body, by its name.

    A history that writes ``3.0`` or ``"3"`` for ``3``, or an object's keys in another order, gives the same.
    """
    return {str(name): _digest(_folded(value))[:32] for name, value in parameters.items()}


def _digest(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _folded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _folded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_folded(item) for item in value]
    if isinstance(value, bool):
        return value
    number = number_or_none(value)
    return value if number is None else (int(number) if float(number).is_integer() else float(number))
