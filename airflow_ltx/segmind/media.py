"""What kind of file some bytes are: by their beginning, by their name, by what their sender says."""

from __future__ import annotations

import mimetypes
import re
from pathlib import PurePath

MAX_BYTES = 2 * 1024**3
"""Bytes that a file may have, where nothing else is asked for."""

SNIFFED = 64
"""Bytes of a file's beginning that tell its kind."""

LOOKED_AT = 1024
"""Bytes of a file's beginning that tell whether it is a video, or a page below some blank lines."""

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<!--|<!doctype\s+html|<(?:html|head|body)\b)", re.IGNORECASE)
_MESSAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml|<error|\{\s*[\"}]|\[)", re.IGNORECASE)
_WIDE = (b"\xff\xfe", b"\xfe\xff")
"""What a text in UTF-16 begins with."""
_CONTAINERS = (
    (b"FLV\x01", "video/x-flv"),
    (b"OggS", "application/ogg"),
    (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "video/x-ms-asf"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
    (bytes.fromhex("060e2b34020501010d010201"), "application/mxf"),
)
_BOXES = frozenset({b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid"})
"""What a QuickTime file may begin with that does not tell its brand."""
_FRAGMENTS = frozenset({b"styp", b"moof", b"sidx", b"emsg", b"prft", b"pdin"})
_BRANDS = {
    b"qt  ": "video/quicktime",
    **dict.fromkeys((b"avif", b"avis", b"mif1", b"msf1"), "image/avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "image/heic"),
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P "), "audio/mp4"),
}
_PACKET, _SYNC = 188, 0x47
_MP4_BRANDS = re.compile(rb"iso[m2-9]|mp4[12]|avc1|M4V |dash|3gp[4-9]|MSNV|cmfc")
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")
_LONGEST_TYPE = 127
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


def container(content: bytes) -> str | None:
    """The media type of what can hold a video, by its first :data:`LOOKED_AT` bytes; None if it is nothing
    of the kind. Unlike :func:`sniff` it knows kinds that hardly anybody sends, and pictures and sounds in the
    clothes of one."""
    known = sniff(content) if content.startswith(b"\x1aE\xdf\xa3") else None
    if known is not None:
        return known
    for beginning, kind in _CONTAINERS:
        if content.startswith(beginning):
            return kind
    if content[:4] == b"RIFF":
        return "video/x-msvideo" if content[8:12] == b"AVI " else None
    return _boxed(content) or _transport_stream(content)


def _boxed(content: bytes) -> str | None:
    """MP4, QuickTime and their like are boxes, each with its size before its name."""
    size, name = int.from_bytes(content[:4]), content[4:8]
    # 0: to the end of the file, 1: a size that follows.
    if 1 < size < 8:
        return None
    if name == b"ftyp":
        return _BRANDS.get(content[8:12], "video/mp4")
    if name in _FRAGMENTS:
        return "video/mp4"
    return "video/quicktime" if name in _BOXES else None


def _transport_stream(content: bytes) -> str | None:
    for before in (0, 4):
        marks = content[before :: before + _PACKET][:3]
        if len(marks) == 3 and set(marks) == {_SYNC}:
            return "video/mp2t"
    return None


def is_page(content: bytes) -> bool:
    """Whether a file's beginning is that of a web page, which file hosts send in place of a file."""
    return _PAGE.match(_narrow(content)) is not None


def is_message(content: bytes) -> bool:
    """Whether it is that of JSON or XML: a message, where something else was to come."""
    return _MESSAGE.match(_narrow(content)) is not None


def _narrow(content: bytes) -> bytes:
    beginning = content[:LOOKED_AT]
    if beginning.startswith(_WIDE):
        return beginning.decode("utf-16", "ignore").encode()
    return beginning


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


def told_type(told: object) -> str | None:
    """What somebody else says of a file's type, as :func:`plain_type`; None if that is no type, or one that
    nobody has heard of. Of several, as a header that was sent twice has, the first one."""
    kind = plain_type(told.partition(",")[0]) if isinstance(told, str) else None
    return kind if kind is not None and len(kind) <= _LONGEST_TYPE else None
