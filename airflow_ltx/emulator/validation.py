"""What the service checks of a body, and when.

Values of a declared fixed set are refused at the submit. All else is found out when the request runs: it has
an id by then, and fails unbilled. Unknown parameters are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow_ltx.emulator.catalogue import LTX_VIDEO
from airflow_ltx.emulator.parameters import LTX_PARAMETERS, Parameter

_TABLES: Mapping[str, tuple[Parameter, ...]] = {LTX_VIDEO: LTX_PARAMETERS}
_IMAGE_KEYS = ("image", "image_url", "first_frame_url", "first_frame_image")
_WITH_ARTICLE = {"string": "a string", "integer": "an integer", "number": "a number"}


def refusal(model: str, body: Mapping[str, Any]) -> str | None:
    """Return why the submit is refused with a 406, or None."""
    for parameter in _TABLES.get(model, ()):
        name, allowed = parameter.name, parameter.choices
        if allowed and name in body and not _is_one_of(body[name], allowed):
            return f"Invalid value for {name}. Allowed values: {', '.join(map(str, allowed))}"
    return None


def failure(
    model: str,
    body: Mapping[str, Any],
    *,
    blocked_words: Iterable[str],
    unfetchable: Callable[[str], bool],
) -> str | None:
    """Return the error that the accepted request ends with, or None if it completes.

    :param unfetchable: Whether an image's URL leads nowhere.
    """
    for parameter in _TABLES.get(model, ()):
        problem = _problem(parameter, body)
        if problem is not None:
            return problem
    return _content_problem(body, blocked_words) or _image_problem(body, unfetchable)


def _problem(parameter: Parameter, body: Mapping[str, Any]) -> str | None:
    name, value = parameter.name, body.get(parameter.name)
    if parameter.required and (value is None or value == ""):
        return f"{name.capitalize()} is required for video generation."
    # URLs are checked for every model, further below.
    if name not in body or parameter.is_url or (value is None and parameter.nullable):
        return None
    if _is_a(value, parameter.type) and _is_within(value, parameter.limits):
        return None
    between = f" between {parameter.limits[0]} and {parameter.limits[1]}" if parameter.limits else ""
    return f"{name} must be {_WITH_ARTICLE[parameter.type]}{between}."


def _content_problem(body: Mapping[str, Any], blocked_words: Iterable[str]) -> str | None:
    prompt = str(body.get("prompt", "")).casefold()
    if any(word.casefold() in prompt for word in blocked_words):
        return "The prompt was blocked by content moderation."
    return None


def _image_problem(body: Mapping[str, Any], unfetchable: Callable[[str], bool]) -> str | None:
    for name in _IMAGE_KEYS:
        image = body.get(name)
        if image is None:
            continue
        if not isinstance(image, str) or not _is_http_url(image):
            return f"{name} must be a valid http(s) URL."
        if unfetchable(image):
            return "image URL download failed"
    return None


def has_image(body: Mapping[str, Any]) -> bool:
    """Whether the request starts from a picture."""
    return any(body.get(name) is not None for name in _IMAGE_KEYS)


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _is_one_of(value: object, allowed: tuple[str | int, ...]) -> bool:
    # 640 == 640.0 and 1 == True in Python, and only the first of each is meant.
    return any(type(value) is type(choice) and value == choice for choice in allowed)


def _is_a(value: object, kind: str) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case _:
            return isinstance(value, int | float) and not isinstance(value, bool)


def _is_within(value: Any, limits: tuple[int, int] | None) -> bool:
    return limits is None or limits[0] <= value <= limits[1]
