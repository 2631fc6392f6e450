"""What may be shown of a URL or of the service's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_LONGEST_QUOTE = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# Each is linear in what others may make as long as they like.
_WORD = re.compile(r'https?://[^\s"]*', re.IGNORECASE)
_USER = re.compile(r'(?<=://)[^\s/?#"]*@')
_NAME = r"[\w.~%+\-\[\]]++="
_STRAY = re.compile(rf'[?&]{_NAME}[^\s"]*')
"""A query that is not seen to belong to the URL before it: a blank is in the path, or in the query."""
_QUERIES = re.compile(rf"\?\S*|[#&]{_NAME}\S*")
_ESCAPES = re.compile(r"(?<!\\)\\++(?:/|u00([2-7][0-9a-fA-F]))")
_CLOSING = "'<>()[]{},.;:!"


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
    """The text with each http URL in it as :func:`without_query` would show it, also in JSON's spelling.

    A URL ends with a blank or a double quote: signers leave apostrophes and angle brackets as they are.
    """
    shown, urls = _WORD.subn(_bare, _spelled_out(text))
    return _STRAY.sub("", shown) if urls else shown


def unsigned(value: Any) -> Any:
    """JSON in which each text that begins as an http URL is shown without what may sign it.

    What follows a blank stays but for parameters: it may be the words of a prompt, which make a difference.
    """
    if isinstance(value, str):
        return _unsigned(value)
    if isinstance(value, Mapping):
        return {key: unsigned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [unsigned(item) for item in value]
    return value


def quote_service(text: str, secret: str | None = None) -> str:
    """The service's words for an error message: one line, bounded, without key, passwords or queries of URLs.

    All of them get echoed: a key by gateways that quote headers, a picture's signed URL by a failed fetch.
    """
    text = _spelled_out(text)
    if secret:
        text = text.replace(secret, "***")
    line = " ".join(_CONTROL.sub(" ", without_queries(text)).split())
    return line if len(line) <= _LONGEST_QUOTE else line[: _LONGEST_QUOTE - 1] + "…"


def _spelled_out(text: str) -> str:
    """JSON may write any character as an escape, and some encoders do with slashes and ampersands."""
    return _ESCAPES.sub(_character, text)


def _character(escape: re.Match[str]) -> str:
    character = "/" if escape[1] is None else chr(int(escape[1], 16))
    # A quote would end what it is a part of.
    return escape[0] if character == '"' else character


def _bare(word: re.Match[str]) -> str:
    begins = next((at for at, character in enumerate(word[0]) if character in "?#"), len(word[0]))
    query = word[0][begins:]
    return _USER.sub("", word[0][:begins]) + query[len(query.rstrip(_CLOSING)) :]


def _unsigned(text: str) -> str:
    if not any(map(str.isspace, text)):
        try:
            if urlsplit(text).scheme in ("http", "https"):
                return without_query(text)
        except ValueError:
            pass
    bare = text.strip()
    if not bare[:8].lower().startswith(("http://", "https://")):
        return text
    return _QUERIES.sub("", _USER.sub("", bare))
