"""What was asked for, as a JSON file beside the file that came of it: for readers who want one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_ltx.landing.checks import occupied
from airflow_ltx.landing.place import Found, Place, place_of
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind.redact import unsigned

ENDING = ".json"
"""After the whole name: a file that is JSON itself has another one without it."""

_LARGEST = 1024 * 1024

_TOLD = (
    "request_id",
    "model",
    "uri",
    "bytes",
    "sha256",
    "content_type",
    "files",
    "seed",
    "cost",
    "queue_time",
    "inference_time",
    "submitted_at",
    "completed_at",
)


def check_sidecar(place: Place, wish: Wish, path: str, request_id: object = None) -> None:
    """Check that the sidecar of a file may get its name: by the rules for the file itself.

    :param path: Of the file.
    :param request_id: The request that made it, once there is one.
    :raises DestinationError: Something else has it.
    """
    name = f"{path}{ENDING}"
    if wish.if_exists == "overwrite" or wish.destination.by_request or place.find(name) is None:
        return
    # It tells by itself whose it is. What is too large to be one is not read.
    whose = _request_of(place.read(name) if _small(place.find(name)) else None)
    if whose is None or whose not in (request_id, *wish.own):
        raise occupied(wish.destination.uri(name), wish)


def write_sidecar(
    wish: Wish,
    result: Mapping[str, Any],
    parameters: Mapping[str, Any] | None,
    *,
    renew: bool = True,
) -> str | None:
    """Write ``<name>.json`` beside the main file; returns its path, None if there is one.

    :param result: The task's return value.
    :param parameters: What was sent; None if it is not known any more. URLs are written without their query.
    :param renew: Also in place of one that is there.
    :raises DestinationError: The storage refuses, or something else has the name.
    """
    place = place_of(wish.destination)
    file = str(wish.destination.path_of(str(result["uri"])))
    path = f"{file}{ENDING}"
    if not renew and place.find(path) is not None:
        return None
    check_sidecar(place, wish, file, result.get("request_id"))
    told = {key: result[key] for key in _TOLD if key in result}
    sent = None if parameters is None else unsigned(dict(parameters))
    text = json.dumps({**told, "parameters": sent}, indent=2, ensure_ascii=False, default=str)
    place.write(path, text.encode(), "application/json")
    return path


def _small(found: Found | None) -> bool:
    return found is not None and found.size <= _LARGEST


def _request_of(content: bytes | None) -> str | None:
    """Of which request a sidecar tells; None if it is none."""
    try:
        told = json.loads(content or b"")
    except ValueError:
        return None
    whose = told.get("request_id") if isinstance(told, dict) else None
    return whose if isinstance(whose, str) else None
