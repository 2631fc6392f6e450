"""Uploaded files: what a data URL holds, and the public names under which its bytes are kept."""

from __future__ import annotations

import base64
import binascii
import hashlib
import mimetypes
import re
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

UploadShape = Literal["file_urls", "urls"]

FOLDER = "/assets/"
# The table built into Python, whatever this machine's own says: names must not depend on it.
_TYPES = mimetypes.MimeTypes()
_TYPES.add_type("image/webp", ".webp")
_DATA_URL = re.compile(
    r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[^;,]*)*;base64,(?P<content>.*)", re.DOTALL | re.ASCII
)


@dataclass(slots=True)
class Asset:
    """One uploaded file. ``downloads`` counts GETs; ``downloads_with_key`` of them carried a credential."""

    name: str
    content_type: str
    content: bytes = field(repr=False)
    time: float
    key: str
    downloads: int = 0
    downloads_with_key: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return what the ledger tells of it."""
        return {
            "name": self.name,
            "content_type": self.content_type,
            "size": len(self.content),
            "time": self.time,
            "key": self.key,
            "downloads": self.downloads,
            "downloads_with_key": self.downloads_with_key,
        }


class TooLargeError(ValueError):
    """A file of more bytes than are taken."""


def read_data_url(text: str, limit: int) -> tuple[str, bytes]:
    """Return (content type, bytes) of a base64 data URL; ``ValueError`` says what is wrong with it.

    :param limit: Bytes above which it is a :class:`TooLargeError`.
    """
    found = _DATA_URL.fullmatch(text)
    if found is None:
        raise ValueError("not a base64 data URL (data:<type>;base64,<content>)")
    encoded = found["content"]
    # Four characters for three bytes: what is far too long is not decoded first.
    if len(encoded) > (limit // 3 + 1) * 4:
        raise TooLargeError(f"larger than {limit} bytes")
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("its content is not valid base64") from None
    if not content:
        raise ValueError("it is empty")
    if len(content) > limit:
        raise TooLargeError(f"larger than {limit} bytes")
    return found["type"].lower(), content


class AssetStore:
    """What was uploaded, by name. Nothing is ever removed, and equal files are kept apart."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._assets: dict[str, Asset] = {}
        self._hosts: set[str] = set()

    def add(self, content_type: str, content: bytes, base_url: str, time: float, key: str) -> Asset:
        """Keep a file under a name that nobody can guess.

        :param base_url: How the caller reached this server: assets are addressed by that host from now on.
        """
        noise = hashlib.blake2b(f"{self._seed}:asset:{len(self._assets)}".encode(), digest_size=16)
        name = noise.hexdigest() + (_TYPES.guess_extension(content_type) or "")
        asset = self._assets[name] = Asset(name, content_type, content, time, key)
        self._hosts.add(urlsplit(base_url).netloc)
        return asset

    def get(self, name: str) -> Asset | None:
        return self._assets.get(name)

    def is_missing(self, url: str, base_url: str) -> bool:
        """Whether ``url`` names an asset of this server that does not exist.

        :param base_url: How the caller of now reached this server.
        """
        parts = urlsplit(url)
        if not parts.path.startswith(FOLDER) or parts.netloc not in self._hosts | {urlsplit(base_url).netloc}:
            return False
        return parts.path.removeprefix(FOLDER) not in self._assets
