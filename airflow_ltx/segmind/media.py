"""What kind of file some bytes are: by their beginning, by their name, by what their sender says."""

from __future__ import annotations

import mimetypes
import re
from pathlib import PurePath

MAX_BYTES = 2 * 1024**3
"""Bytes that a file may have, where nothing else is asked for."""

SNIFFED = 64
"""Bytes of a file's beginning that tell its kind."""

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<!--|<!doctype html|<html)", re.IGNORECASE)
_MESSAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml|<error|\{\s*[\"}]|\[)", re.IGNORECASE)
_MP4_BRANDS = re.compile(rb"iso[m2-9]|mp4[12]|avc1|M4V |dash|3gp[4-9]|MSNV|cmfc")
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")
# The built-in tables alone: what a machine's /etc/mime.types adds should not decide what works.
_NAMES = mimetypes.MimeTypes()
_NAMES.add_type("video/x-matroska", ".mkv")


def sniff(content: bytes) -> str | None:
    """The media type of PNG, JPEG, GIF, WebP, MP4 and Matroska (told as WebM); None for all else."""
    for beginning, kind in _BEGINNINGS:
        if content.startswith(beginning):
            return kind
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if content[4:8] == b"ftyp" and _MP4_BRANDS.match(content[8:12]):
        return "video/mp4"
    return None


def is_page(content: bytes) -> bool:
    """Whether a file's beginning is that of a web page, which file hosts send in place of a file."""
    return _PAGE.match(content[:SNIFFED]) is not None


def is_message(content: bytes) -> bool:
    """Whether it is that of JSON or XML: a message, where something else was to come."""
    return _MESSAGE.match(content[:SNIFFED]) is not None


def type_of_name(name: str) -> str | None:
    """The media type that a file's name tells, if it is one of a picture, a video or a sound."""
    kind, packed = _NAMES.guess_type(PurePath(name).name, strict=False)
    if kind is None or packed or not kind.startswith(("image/", "video/", "audio/")):
        return None
    return kind


def plain_type(text: str) -> str | None:
    """``text`` as a media type without parameters, in lower case; None if it is none."""
    kind = text.partition(";")[0].strip().lower()
    return kind if _TYPE.fullmatch(kind) else None
