"""The sums by which Google Cloud Storage and its client see that the same bytes are meant."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any


def _crc32c() -> Any:
    try:
        import google_crc32c
    except ImportError:
        return None
    return google_crc32c.Checksum()  # type: ignore[no-untyped-call]


class Sums:
    """Of the bytes of one object. CRC32C where its library is installed, as Google's own clients have it."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc = _crc32c()
        self._size = 0

    def update(self, content: bytes) -> None:
        """Append."""
        self._md5.update(content)
        if self._crc is not None:
            self._crc.update(content)
        self._size += len(content)

    def told(self) -> dict[str, str]:
        """As the storage names them."""
        told = {"md5Hash": base64.b64encode(self._md5.digest()).decode()}
        if self._crc is not None:
            told["crc32c"] = base64.b64encode(self._crc.digest()).decode()
        return told

    def header(self) -> str:
        """As the last request of an upload in parts says them."""
        told = self.told()
        return f"crc32c={told['crc32c']}" if "crc32c" in told else f"md5={told['md5Hash']}"

    def differs_from(self, told: Mapping[str, Any]) -> str | None:
        """By what an object is not of these bytes; None if all that is said of it fits.

        Not all objects have an MD5: it is no part of one that was composed, nor of some that are encrypted.
        """
        if "size" in told and str(told["size"]) != str(self._size):
            return "size"
        return next(
            (name for name, value in self.told().items() if told.get(name) not in (None, value)), None
        )
