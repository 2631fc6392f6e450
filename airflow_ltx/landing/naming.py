"""Names of files: from a request and what is announced of its output, safe in any path."""

from __future__ import annotations

import hashlib
import itertools
import mimetypes
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.segmind.redact import without_query

PLACEHOLDERS = ("request_id", "model", "number", "ext")
"""What may stand in braces in a destination. ``number`` counts a request's files from 1; ``ext`` has its
dot."""

_PLACEHOLDER = re.compile(r"\{([^{}/]*)\}")
_BRACE = re.compile(r"[{}]")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST, _DIGITS = 128, 8
_DOTS = re.compile(r"^\.+")
_EXTENSIONS = {
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "video/quicktime": ".mov",
    "video/x-matroska": ".mkv",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "model/gltf-binary": ".glb",
    "video/mpeg": ".mpg",
    "video/mp2t": ".ts",
    "video/ogg": ".ogv",
    "video/x-flv": ".flv",
    "video/x-msvideo": ".avi",
    "video/x-ms-asf": ".asf",
    "video/x-ms-wmv": ".wmv",
}
_SAYS_NOTHING = ("", "application/octet-stream", "binary/octet-stream")
# The built-in tables alone: what a machine's /etc/mime.types adds should not decide what a file is called.
_OTHERS = mimetypes.MimeTypes()
_URL_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,5}$")


@dataclass(frozen=True, slots=True)
class NamedFile:
    """What a name is made of.

    :param url: Of the file at the service, for its ending where the media type says little.
    :param number: Of the file among the request's, from 1.
    """

    request_id: str
    content_type: str | None
    url: str
    model: str | None = None
    number: int = 1


def content_types(media: str | None) -> tuple[str, ...]:
    """The types whose endings are known, the likeliest first. ``media``: of one kind alone, such as video."""
    return tuple(told for told in _EXTENSIONS if media is None or told.startswith(f"{media}/"))


def check_placeholders(text: str, shown: str) -> None:
    """:raises DestinationError: Something in braces is none of :data:`PLACEHOLDERS`."""
    names = _PLACEHOLDER.findall(text)
    unknown = [name for name in names if name not in PLACEHOLDERS]
    if unknown or _BRACE.search(_PLACEHOLDER.sub("", text)):
        what = f"{{{unknown[0]}}}" if unknown else "a brace of its own"
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        error = DestinationError(
            f"Invalid destination: {shown} holds {what}; it may hold {known}. Nothing was written."
        )
        error.retryable = False
        raise error


def fill(path: str, file: NamedFile) -> str:
    """Put the values in. Files after the first get their number, if the path does not place it."""
    if file.number > 1:
        path = numbered(path)
    values = {
        "request_id": safe(file.request_id),
        "model": safe(file.model or "model"),
        "number": str(file.number),
        "ext": extension(file.content_type, file.url),
    }
    return _PLACEHOLDER.sub(lambda found: values[found[1]], path)


def pattern(path: str) -> str:
    """A regular expression for what :func:`fill` may make of ``path`` for a first file."""
    parts = _PLACEHOLDER.split(path)
    forms = [r"\d+" if name == "number" else "[^/]+" for name in parts[1::2]]
    return "".join(
        re.escape(text) + form for text, form in itertools.zip_longest(parts[::2], forms, fillvalue="")
    )


def numbered(path: str) -> str:
    """With the place for the number, if it has none: before the ending."""
    if "{number}" in path:
        return path
    above, slash, name = path.rpartition("/")
    stem, dot, ending = name.rpartition(".")
    if name.endswith("{ext}"):
        stem, dot, ending = name.removesuffix("{ext}"), "", "{ext}"
    elif not stem:
        stem, dot, ending = name, "", ""
    return f"{above}{slash}{stem}-{{number}}{dot}{ending}"


def safe(value: str) -> str:
    """A value from outside as a part of a name: it adds no folder, leads nowhere and hides nothing, and no
    other one becomes the same."""
    plain = _plain(value)
    if plain == value:
        return plain
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{plain[: _LONGEST - _DIGITS - 1]}-{digest}"


def _plain(value: str) -> str:
    return _DOTS.sub("", _UNSAFE.sub("-", value))[:_LONGEST] or "-"


def name_of(url: str) -> str:
    """What a file of no known request is called: as its URL has it, without the ending; where that says
    nothing, by a digest. The URL's query has no part in it: signed anew, it is the same file."""
    plain = without_query(url)
    name = _plain(PurePosixPath(unquote(urlsplit(plain).path)).stem)
    return name if name.strip("-") else hashlib.sha256(plain.encode()).hexdigest()[:16]


def extension(content_type: str | None, url: str) -> str:
    """The file name's ending for an announced media type; from the URL's path only where that says nothing:
    a URL may well call a video a page."""
    told = (content_type or "").lower()
    known = _EXTENSIONS.get(told)
    if known:
        return known
    if told not in _SAYS_NOTHING:
        guessed = _OTHERS.guess_extension(told, strict=False)
        return guessed if guessed and _URL_EXTENSION.fullmatch(guessed) else ".bin"
    try:
        found = _URL_EXTENSION.search(PurePosixPath(urlsplit(url).path).name)
    except ValueError:
        found = None
    return found.group(0).lower() if found else ".bin"
