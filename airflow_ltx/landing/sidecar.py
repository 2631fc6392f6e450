"""What was asked for, as a JSON file beside the file that came of it: for readers who want one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_ltx.landing.destination import Destination
from airflow_ltx.landing.place import place_of
from airflow_ltx.segmind.redact import unsigned

ENDING = ".json"
"""After the whole name: a file that is JSON itself has another one without it."""

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


def write_sidecar(
    destination: Destination,
    result: Mapping[str, Any],
    parameters: Mapping[str, Any] | None,
    *,
    renew: bool = True,
) -> str | None:
    """Write ``<name>.json`` beside the main file; returns its path, None if there is one.

    :param result: The task's return value.
    :param parameters: What was sent; None if it is not known any more. URLs are written without their query.
    :param renew: Also in place of one that is there.
    :raises DestinationError: The storage refuses.
    """
    place = place_of(destination)
    path = f"{destination.path_of(str(result['uri']))}{ENDING}"
    if not renew and place.find(path) is not None:
        return None
    told = {key: result[key] for key in _TOLD if key in result}
    sent = None if parameters is None else unsigned(dict(parameters))
    text = json.dumps({**told, "parameters": sent}, indent=2, ensure_ascii=False, default=str)
    place.write(path, text.encode(), "application/json")
    return path
