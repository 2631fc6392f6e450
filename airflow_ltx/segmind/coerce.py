"""One value at a time: from what a template rendered to what the service takes, or a sentence about it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from airflow_ltx.exceptions import InvalidParameter
from airflow_ltx.segmind.numbers import integer_or_none, number_or_none
from airflow_ltx.segmind.redact import without_queries, without_query

_LONGEST_SHOWN = 80
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Problem(ValueError):
    """Why a value cannot be sent: names the field, the value and what is allowed."""


def check_slug(model: Any) -> str:
    """Return ``model`` if it can be a slug: it becomes a part of a URL's path.

    :raises InvalidParameter: Otherwise.
    """
    if not isinstance(model, str) or not _SLUG.fullmatch(model):
        raise InvalidParameter([f"model is {shown(model)}; it must be the model's slug, such as 'ltx-video'"])
    return model


def text(name: str, value: Any) -> str:
    """A text that says something. Numbers become text, as native rendering turns "123" into 123."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Problem(f"{name} is {shown(value)}; it must be a text")
    if isinstance(value, float) and not math.isfinite(value):
        raise Problem(f"{name} is {shown(value)}; it must be a text that says something")
    try:
        said = str(value)
    except ValueError:
        raise Problem(f"{name} is {shown(value)}; it must be a text") from None
    if said.strip() in ("", "None"):
        # "None" is what a template over an absent value renders, and no prompt worth paying for.
        raise Problem(f"{name} is {shown(said)}; it must be a text that says something")
    return said


def optional_text(name: str, value: Any) -> str | None:
    """As :func:`text`; None is not set, and an empty text is sent as it is."""
    if value is None or value == "None":
        return None
    if isinstance(value, str):
        return value
    return text(name, value)


def one_of(allowed: Sequence[str]) -> Callable[[str, Any], str | None]:
    """A check for one of several words."""

    def check(name: str, value: Any) -> str | None:
        if _unset(value):
            return None
        word = value.strip() if isinstance(value, str) else value
        if word not in allowed:
            raise Problem(f"{name} is {shown(value)}; it must be one of {', '.join(allowed)}")
        return str(word)

    return check


def integer_of(allowed: Sequence[int]) -> Callable[[str, Any], int | None]:
    """A check for one of several whole numbers."""

    def check(name: str, value: Any) -> int | None:
        if _unset(value):
            return None
        number = integer_or_none(value)
        if number not in allowed:
            raise Problem(f"{name} is {shown(value)}; it must be one of {', '.join(map(str, allowed))}")
        return number

    return check


def integer_between(lowest: int, highest: int) -> Callable[[str, Any], int | None]:
    """A check for a whole number, both ends allowed."""

    def check(name: str, value: Any) -> int | None:
        if _unset(value):
            return None
        number = integer_or_none(value)
        if number is None or not lowest <= number <= highest:
            raise Problem(f"{name} is {shown(value)}; it must be a whole number from {lowest} to {highest}")
        return number

    return check


def number_between(lowest: float, highest: float) -> Callable[[str, Any], float | None]:
    """A check for a number, both ends allowed. Whole numbers stay whole."""

    def check(name: str, value: Any) -> float | None:
        if _unset(value):
            return None
        number = number_or_none(value)
        if number is None or not lowest <= number <= highest:
            raise Problem(f"{name} is {shown(value)}; it must be a number from {lowest:g} to {highest:g}")
        return number

    return check


def http_url(name: str, value: Any) -> str | None:
    """An http or https URL; its query is not shown in the sentence, since it may be signed."""
    if _unset(value):
        return None
    if isinstance(value, str):
        url = value.strip()
        try:
            parts = urlsplit(url)
        except ValueError:
            parts = None
        if parts and parts.scheme in ("http", "https") and parts.hostname and not any(map(str.isspace, url)):
            return url
        said = shown(without_query(url) if "://" in url else url.partition("?")[0])
    else:
        said = shown(value)
    raise Problem(f"{name} is {said}; it must be an http or https URL that the service can fetch")


def json_object(name: str, value: Any) -> dict[str, Any] | None:
    """A mapping of JSON values with text keys; a JSON text, as a template renders it, is read."""
    if _unset(value):
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise Problem(f"{name} is {shown(value)}; it must be a dict, or a JSON object as text") from None
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise Problem(f"{name} is {shown(value)}; it must be a dict with text keys")
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise Problem(f"{name} holds what JSON cannot ({error})") from None
    return plain


def _unset(value: Any) -> bool:
    # A template over an absent value renders "" or "None", and means the same as leaving it out.
    return value is None or (isinstance(value, str) and value.strip() in ("", "None"))


def shown(value: Any) -> str:
    """A value for a message: bounded, and without the queries of URLs in it, which may be signed."""
    try:
        text = without_queries(repr(value))
    except ValueError:
        # Python does not print integers of more than a few thousand digits.
        return "a number too long to print"
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
