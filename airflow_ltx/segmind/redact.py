"""What may be shown of a URL or of the service's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_LONGEST_QUOTE = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_URL = re.compile(r"(https?://)(?:[^\s/?#\"'<>]*@)?([^\s?#\"'<>]*)(?:[?#][^\s\"'<>]*)?", re.IGNORECASE)


def without_query(url: str) -> str:
    """The URL without user information, query and fragment: what may stand in logs, events and errors."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "<malformed URL>"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def credentials_of(url: str) -> tuple[str, ...]:
    """What :func:`without_query` takes away, for Airflow's masking."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return (url,)
    return tuple(part for part in (parts.query, parts.fragment, parts.netloc.rpartition("@")[0]) if part)


def without_queries(text: str) -> str:
    """The text with each http URL in it as :func:`without_query` would show it."""
    return _URL.sub(r"\1\2", text)


def unsigned(value: Any) -> Any:
    """JSON in which each text that is an http URL as a whole is shown :func:`without_query`."""
    if isinstance(value, str):
        return without_query(value) if _is_url(value) else value
    if isinstance(value, Mapping):
        return {key: unsigned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [unsigned(item) for item in value]
    return value


def quote_service(text: str, secret: str | None = None) -> str:
    """The service's words for an error message: one line, bounded, without key, passwords or queries of URLs.

    All of them get echoed: a key by gateways that quote headers, a picture's signed URL by a failed fetch.
    """
    if secret:
        text = text.replace(secret, "***")
    line = " ".join(_CONTROL.sub(" ", without_queries(text)).split())
    return line if len(line) <= _LONGEST_QUOTE else line[: _LONGEST_QUOTE - 1] + "…"


def _is_url(text: str) -> bool:
    if any(map(str.isspace, text)):
        return False
    try:
        return urlsplit(text).scheme in ("http", "https")
    except ValueError:
        return False
