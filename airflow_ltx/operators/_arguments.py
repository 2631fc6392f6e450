"""Checks of operator arguments that need no service: at parse time for what is a literal, on the worker for
what was rendered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from airflow_ltx.exceptions import InvalidParameter
from airflow_ltx.segmind.coerce import shown

LONGEST = 366 * 24 * 3600
"""Seconds. Airflow and Python count no dates without end, and would say so only after the purchase."""

_TEMPLATE_MARKS = ("{{", "{%", "{#")
# Most of them nothing that the service takes, which is said best when the DAG is parsed.
_PLAIN = (bool, int, float, bytes, set, frozenset, date, Decimal, PurePath)


def is_literal(value: Any, template_ext: Sequence[str]) -> bool:
    """Whether the value is known when the DAG is parsed: no template, no template file, no XComArg inside."""
    if value is None or isinstance(value, _PLAIN):
        return True
    if isinstance(value, str):
        return not any(mark in value for mark in _TEMPLATE_MARKS) and not (
            template_ext and value.endswith(tuple(template_ext))
        )
    if isinstance(value, Mapping):
        return all(is_literal(item, template_ext) for pair in value.items() for item in pair)
    if isinstance(value, list | tuple):
        return all(is_literal(item, template_ext) for item in value)
    return False


def literals(values: Mapping[str, Any], template_ext: Sequence[str]) -> dict[str, Any]:
    """The values of a mapping that are known already."""
    return {name: value for name, value in values.items() if is_literal(value, template_ext)}


def seconds(name: str, value: Any) -> float | None:
    """A span of time, as a number or a ``timedelta``, in seconds above 0 and up to :data:`LONGEST`.

    None stays None.

    :raises InvalidParameter: It is none.
    """
    if value is None:
        return None
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST:
        raise InvalidParameter(
            [
                f"{name} is {shown(value)}; it must be a number of seconds above 0 and at most {LONGEST} (a "
                "year), or a timedelta"
            ]
        )
    return float(value)


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """:raises InvalidParameter: ``value`` is none of ``allowed``."""
    choices = tuple(allowed)
    if value not in choices:
        raise InvalidParameter([f"{name} is {value!r}; it must be one of {', '.join(map(repr, choices))}"])


def fit_together(
    *,
    destination: Any,
    destination_conn_id: Any,
    land_in: Any,
    if_exists: Any,
    land_all: Any,
    sidecar: Any,
    deferrable: bool,
    wait_for_completion: bool,
) -> None:
    """:raises InvalidParameter: One is given that makes no sense without, or with, another."""
    one_of("land_in", land_in, (None, "triggerer", "worker"))
    one_of("if_exists", if_exists, (None, "same", "overwrite", "error"))
    problems = []
    if destination is None:
        given = {
            "destination_conn_id": destination_conn_id,
            "land_in": land_in,
            "if_exists": if_exists,
            "land_all": land_all or None,
            "sidecar": sidecar or None,
        }
        problems += [
            f"{name} is given without a destination" for name, value in given.items() if value is not None
        ]
    elif land_in == "triggerer" and not deferrable:
        problems.append("land_in is 'triggerer' with deferrable=False: nothing is in the triggerer then")
    elif not wait_for_completion:
        problems.append("destination is given with wait_for_completion=False: nothing would wait for it")
    if problems:
        raise InvalidParameter(problems)
