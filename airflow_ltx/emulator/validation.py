"""What the service checks of a body, and when.

Values of a declared fixed set are refused at the submit. All else is found out when the request runs: it has
an id by then, and fails unbilled. Unknown parameters are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow_ltx.emulator.catalogue import LTX_VIDEO
from airflow_ltx.emulator.resolution import ASPECT_RATIOS, LENGTHS, TARGET_SIZES

_FIXED_SETS: Mapping[str, Mapping[str, tuple[str | int, ...]]] = {
    LTX_VIDEO: {"aspect_ratio": ASPECT_RATIOS, "target_size": TARGET_SIZES, "length": LENGTHS}
}
_IMAGE_KEYS = ("image", "image_url", "first_frame_url", "first_frame_image")
_STEPS_RANGE = (1, 50)
_CFG_RANGE = (1, 20)


def refusal(model: str, body: Mapping[str, Any]) -> str | None:
    """Return why the submit is refused with a 406, or None."""
    for name, allowed in _FIXED_SETS.get(model, {}).items():
        if name in body and not _is_one_of(body[name], allowed):
            return f"Invalid value for {name}. Allowed values: {', '.join(map(str, allowed))}"
    return None


def failure(
    model: str, body: Mapping[str, Any], *, blocked_words: Iterable[str], unfetchable: Iterable[str]
) -> str | None:
    """Return the error that the accepted request ends with, or None if it completes."""
    problem = _ltx_problem(body) if model == LTX_VIDEO else None
    return problem or _content_problem(body, blocked_words) or _image_problem(body, unfetchable)


def _ltx_problem(body: Mapping[str, Any]) -> str | None:
    prompt = body.get("prompt")
    if prompt is None or prompt == "":
        return "Prompt is required for video generation."
    for name in ("prompt", "negative_prompt"):
        if name in body and not isinstance(body[name], str):
            return f"{name} must be a string."
    if "steps" in body and not _is_number_within(body["steps"], _STEPS_RANGE, whole=True):
        return f"steps must be an integer between {_STEPS_RANGE[0]} and {_STEPS_RANGE[1]}."
    if "cfg" in body and not _is_number_within(body["cfg"], _CFG_RANGE):
        return f"cfg must be a number between {_CFG_RANGE[0]} and {_CFG_RANGE[1]}."
    seed = body.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        return "seed must be an integer."
    return None


def _content_problem(body: Mapping[str, Any], blocked_words: Iterable[str]) -> str | None:
    prompt = str(body.get("prompt", "")).casefold()
    if any(word.casefold() in prompt for word in blocked_words):
        return "The prompt was blocked by content moderation."
    return None


def _image_problem(body: Mapping[str, Any], unfetchable: Iterable[str]) -> str | None:
    for name in _IMAGE_KEYS:
        image = body.get(name)
        if image is None:
            continue
        if not isinstance(image, str) or not _is_http_url(image):
            return f"{name} must be a valid http(s) URL."
        if any(part in image for part in unfetchable):
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
    # 1 == 1.0 == True in Python, but not in a JSON schema.
    return any(type(value) is type(choice) and value == choice for choice in allowed)


def _is_number_within(value: object, limits: tuple[int, int], *, whole: bool = False) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return False
    return limits[0] <= value <= limits[1]
