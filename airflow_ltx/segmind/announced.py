"""What a file host says of a file before its bytes: of the whole file, and of the part that was missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_ltx.segmind.announced_digest import AnnouncedDigest, announced_digest
from airflow_ltx.segmind.media import told_type

ERROR_PAGES = ("text/html", "application/json", "application/xml", "text/xml")
"""Types of what hosts send in place of a file."""

# Numbers are bounded: Python refuses to read ones of thousands of digits, and no file is that large.
_LENGTH = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{0,18}/([0-9]{1,18}|\*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Announced:
    """What the file host said of the file before its bytes.

    :param length: In bytes, None if it did not say.
    :param validator: The ``ETag`` or ``Last-Modified`` by which a later part is known to be of the same file.
    :param digest: Of all of its bytes, None if it did not say.
    """

    content_type: str | None
    length: int | None
    validator: str | None = field(default=None, repr=False)
    digest: AnnouncedDigest | None = None


def announced_by(headers: Mapping[str, str]) -> Announced:
    """Read the answer that begins a file. ``headers`` are looked up in any case."""
    length = headers.get("content-length", "").strip()
    return Announced(
        content_type=_media(headers),
        length=int(length) if _LENGTH.fullmatch(length) else None,
        validator=_etag(headers) or headers.get("last-modified"),
        digest=announced_digest(headers),
    )


def no_file(headers: Mapping[str, str]) -> str | None:
    """What an answer has in place of a file's own bytes; None if it may have those."""
    media = _media(headers)
    if media in ERROR_PAGES:
        return media
    encoding = headers.get("content-encoding", "identity").strip().lower()
    # Identity was asked for; the length of anything else says nothing about the file's.
    return None if encoding == "identity" else f"a body in the encoding {encoding!r:.40}"


@dataclass(frozen=True, slots=True)
class Rest:
    """The end of a file. ``total``: bytes of the whole of it, None if the host does not know."""

    total: int | None


def rest_of(whole: Announced, headers: Mapping[str, str], start: int) -> Rest | None:
    """Read the answer to a request for what is missing from ``start`` on.

    None if it is not certainly that: hosts, and what stands before them, send parts of a file that was put in
    the first one's place meanwhile, whatever condition they are given.
    """
    given = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if given is None or int(given[1]) != start or no_file(headers) is not None:
        return None
    if whole.validator is None or whole.validator not in (_etag(headers), headers.get("last-modified")):
        return None
    return Rest(None if given[2] == "*" else int(given[2]))


def _media(headers: Mapping[str, str]) -> str | None:
    return told_type(headers.get("content-type"))


def _etag(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("etag", "").strip()
    # A weak one may stand for other bytes.
    return etag if etag and not etag.startswith("W/") else None
