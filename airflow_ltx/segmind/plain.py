"""What others say, as values that can be written again: JSON knows texts and numbers that no wire here takes.

Half of a surrogate pair cannot be UTF-8, a null character cannot be in PostgreSQL, and a whole number beyond
64 bits cannot be MessagePack, by which Airflow's processes talk. A triggerer that is to send one ends, with
all of its triggers.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

_LEAST, _MOST = -(2**63), 2**64 - 1
_MOST_DIGITS = 100
"""Of a whole number. Python refuses to read those of some thousands, and no float is that large."""
_DEEPEST = 50

_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_ESCAPED = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")


def encodable(text: str) -> str:
    """The text, with a mark in place of each null, and of each half of a pair that lacks its other half."""
    return text if text.isascii() and "\0" not in text else _UNWRITABLE.sub("\ufffd", text)


def bounded(number: int) -> int | None:
    """The number if it has 64 bits at the most."""
    return number if _LEAST <= number <= _MOST else None


def parsed(content: bytes | str) -> Any:
    """A JSON value, all of whose texts are :func:`encodable`; None if ``content`` is none.

    Numbers are exact, since what was sent is compared with them. Those without bounds are None.
    """
    if isinstance(content, bytes):
        content = content.decode(json.detect_encoding(content), "replace")
    content = encodable(content)
    try:
        value = _DECODER.decode(content)
        return _written_anew(value) if _ESCAPED.search(content) else value
    except (ValueError, RecursionError):
        return None


def plain(value: Any, depth: int = _DEEPEST) -> Any:
    """The value as JSON that can be sent anywhere, for an event: never raises. What cannot be is None."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return encodable(str(value))
    if isinstance(value, int):
        return bounded(int(value))
    if isinstance(value, float):
        return _finite(float(value))
    if depth == 0:
        return None
    if isinstance(value, Mapping):
        return {encodable(str(key)): plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [plain(item, depth - 1) for item in value]
    return None


def _written_anew(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [_written_anew(item) for item in value]
    if isinstance(value, dict):
        return {encodable(key): _written_anew(item) for key, item in value.items()}
    return value


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else None


def _real(digits: str) -> float | None:
    return _finite(float(digits))


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_real, parse_constant=lambda _: None)
