"""The files in a result, in each of the shapes in which the service is known to name them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow_ltx.exceptions import OutputMissing
from airflow_ltx.segmind.media import told_type
from airflow_ltx.segmind.models import Output
from airflow_ltx.segmind.numbers import integer_or_none
from airflow_ltx.segmind.plain import parsed
from airflow_ltx.segmind.redact import quote_service

# In the order of trust: the typed member of a modality first, the catch-all last.
MEMBERS = ("video", "videos", "image", "images", "audio", "output", "outputs")
DEEPEST = 4


def read_outputs(
    body: Mapping[str, Any], request_id: str, *, secret: str | None = None
) -> tuple[Output, ...]:
    """Every http(s) URL of a completed record, the main file first, each once.

    :raises OutputMissing: If there is none. The message quotes the record, since it was paid for.
    """
    found = find_outputs(*(body.get(member) for member in MEMBERS))
    if not found:
        raise OutputMissing(
            f"Request {request_id} is completed and was billed, and its result names no file that could be "
            f"fetched. The record says: {quote_service(_shown(body), secret)}",
            request_id=request_id,
        )
    return found


def find_outputs(*nodes: Any) -> tuple[Output, ...]:
    """Every http(s) URL in JSON values of whatever known shape, each once."""
    found: dict[str, Output] = {}
    for node in nodes:
        for output in _walk(node, DEEPEST):
            found.setdefault(output.url, output)
    return tuple(found.values())


def _shown(body: Mapping[str, Any]) -> str:
    try:
        return json.dumps(body, default=str)
    except (ValueError, RecursionError):
        return f"keys {sorted(map(str, body))}"


def _walk(node: Any, depth: int) -> Iterator[Output]:
    if depth == 0:
        return
    if isinstance(node, str):
        text = node.strip()
        if is_http_url(text):
            yield Output(url=text)
        elif text[:1] in "{[" and text:
            # Some products of the service put JSON into a string.
            yield from _walk(parsed(text), depth - 1)
    elif isinstance(node, list):
        for item in node:
            yield from _walk(item, depth - 1)
    elif isinstance(node, Mapping):
        url = node.get("url")
        if isinstance(url, str) and is_http_url(url.strip()):
            yield Output(
                url=url.strip(),
                content_type=told_type(node.get("content_type")),
                file_name=_text(node.get("file_name")),
                file_size=integer_or_none(node.get("file_size")),
            )
        else:
            for key in (*MEMBERS, "url", "urls", "result", "data"):
                yield from _walk(node.get(key), depth - 1)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def is_http_url(text: str) -> bool:
    """Whether ``text`` is a URL that could be fetched over http or https."""
    if not text.lower().startswith(("http://", "https://")) or any(c.isspace() for c in text):
        return False
    try:
        return bool(urlsplit(text).hostname)
    except ValueError:
        return False
