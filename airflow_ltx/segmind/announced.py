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
    :param etag: As it was sent, weak or not.
    """

    content_type: str | None
    length: int | None
    validator: str | None = field(default=None, repr=False)
    digest: AnnouncedDigest | None = None
    etag: str | None = field(default=None, repr=False)


def announced_by(headers: Mapping[str, str]) -> Announced:
    """Read the answer that begins a file. ``headers`` are looked up in any case."""
    length, etag = headers.get("content-length", "").strip(), _etag(headers)
    return Announced(
        content_type=_media(headers),
        length=int(length) if _LENGTH.fullmatch(length) else None,
        # A weak one may stand for other bytes.
        validator=headers.get("last-modified") if etag is None or etag.startswith("W/") else etag,
        digest=announced_digest(headers),
        etag=etag,
    )


def no_file(headers: Mapping[str, str]) -> str | None:
    """What an answer has in place of a file's own bytes; None if it may have those."""
    media = _media(headers)
    if media in ERROR_PAGES:
        return media
    encoding = packed(headers)
    return None if encoding is None else f"a body in the encoding {encoding!r:.40}"


def packed(headers: Mapping[str, str]) -> str | None:
    """The encoding of a body that has other bytes than its file; None if it has the same.

    Identity was asked for; the length of anything else cannot tell whether the file is whole.
    """
    named = (name.strip().lower() for name in headers.get("content-encoding", "").split(","))
    return ", ".join(name for name in named if name not in ("", "identity")) or None


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
    etag = _etag(headers)
    if whole.validator is None or whole.validator not in (etag, headers.get("last-modified")):
        return None
    # Two files of the same second have the same date.
    if None not in (etag, whole.etag) and etag != whole.etag:
        return None
    return Rest(None if given[2] == "*" else int(given[2]))


def _media(headers: Mapping[str, str]) -> str | None:
    return told_type(headers.get("content-type"))


def _etag(headers: Mapping[str, str]) -> str | None:
    return headers.get("etag", "").strip() or None
