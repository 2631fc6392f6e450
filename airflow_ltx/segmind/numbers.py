"""Numbers out of JSON values and out of text, as services and templates write them: exactly or not.

Whole ones beyond 64 bits are taken for none.
"""

from __future__ import annotations

import math
import re

from airflow_ltx.segmind.plain import bounded

# int() and float() also take "1_000" and digits of other scripts, which nobody means here.
_WHOLE = re.compile(r"-?[0-9]{1,24}(\.0)?")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def integer_or_none(value: object) -> int | None:
    """A whole number out of an int, a float without fraction or a text of digits; None for all else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return bounded(value)
    if isinstance(value, float):
        return bounded(int(value)) if value.is_integer() else None
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return bounded(int(value.strip().removesuffix(".0")))
    return None


def number_or_none(value: object) -> float | None:
    """A finite number out of an int, a float or a text; text of digits gives an int; None for all else."""
    if isinstance(value, str) and integer_or_none(value) is None and _DECIMAL.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return integer_or_none(value)
