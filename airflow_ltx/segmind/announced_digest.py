"""The digest that a file host announces for a whole file, if it does: what flips on the way is seen by it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

_SIZES = {"sha256": 32, "md5": 16}
"""Bytes of a value, the better algorithm first."""

_LISTS = ("repr-digest", "digest", "x-goog-hash")
"""Headers with a list of ``algorithm=value``: RFC 9530, RFC 3230, and Google's."""

_SINGLE = {"x-amz-checksum-sha256": "sha256", "content-md5": "md5"}

_ITEM = re.compile(r"\s*([A-Za-z0-9_-]{1,20})\s*=\s*:?([A-Za-z0-9+/]{1,90}={0,2}):?\s*")


class Sum(Protocol):
    """A running digest."""

    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class AnnouncedDigest:
    """``algorithm`` as ``hashlib`` names it, ``value`` of the whole file, ``header`` that says so."""

    algorithm: str
    value: bytes = field(repr=False)
    header: str

    def begin(self) -> Sum:
        """To be given all of the file's bytes."""
        return hashlib.new(self.algorithm, usedforsecurity=False)


class Doubts:
    """What downloads of one file brought where its host announced other bytes; one for all attempts.

    What flips on the way does not flip alike twice. The same bytes again are the file's, and the announcement
    is of something else; else a file that is paid for could never be fetched.
    """

    def __init__(self) -> None:
        self._brought: set[tuple[str, bytes]] = set()

    def settled(self, algorithm: str, brought: bytes) -> bool:
        """Whether a whole download had this digest before; from now on one has."""
        known = (algorithm, brought) in self._brought
        self._brought.add((algorithm, brought))
        return known


def announced_digest(headers: Mapping[str, str]) -> AnnouncedDigest | None:
    """The best digest of the whole file in the headers of the answer that begins it; None if there is none.

    What is no digest of a known kind is passed over, as is one of a part: an S3 checksum of checksums.
    """
    found: dict[str, AnnouncedDigest] = {}
    for header in _LISTS:
        for item in headers.get(header, "").split(","):
            told = _ITEM.fullmatch(item)
            if told is not None:
                _take(found, told[1].lower().replace("sha-256", "sha256"), told[2], header)
    for header, algorithm in _SINGLE.items():
        _take(found, algorithm, headers.get(header, "").strip(), header)
    return next((found[algorithm] for algorithm in _SIZES if algorithm in found), None)


def _take(found: dict[str, AnnouncedDigest], algorithm: str, text: str, header: str) -> None:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return
    if len(value) == _SIZES.get(algorithm):
        found.setdefault(algorithm, AnnouncedDigest(algorithm, value, header))
