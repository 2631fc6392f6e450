"""Destinations as values: read, checked and named without touching a disk or a bucket."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from airflow_ltx.exceptions import DestinationError

SUPPORTED_SCHEMES = ("file",)

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
}
_URL_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,5}$")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a file goes: ``file:///folder/`` or ``file:///folder/name.mp4``.

    :param path: Absolute, without the trailing slash of a folder.
    :param folder: The name is then made from the request id and the announced type.
    """

    scheme: str
    path: PurePosixPath
    folder: bool

    def file_for(self, request_id: str, content_type: str | None, url: str) -> PurePosixPath:
        """The final path of a request's main file."""
        if not self.folder:
            return self.path
        return self.path / f"{request_id}{extension(content_type, url)}"

    @property
    def directory(self) -> PurePosixPath:
        """The folder that must exist and be writable."""
        return self.path if self.folder else self.path.parent


def check_scheme(uri: str) -> None:
    """Check the scheme alone, where the rest is not known yet.

    :raises DestinationError: It is there, and none that this version lands to.
    """
    scheme, separator, _ = uri.strip().partition("://")
    if separator and "{" not in scheme:
        _supported(scheme, uri)


def parse_destination(uri: str) -> Destination:
    """Read a destination.

    :raises DestinationError: Not retryable; says what is wrong and how it should look. Nothing was touched.
    """
    text = str(uri).strip()
    shown = repr(_shown(text))
    scheme, separator, rest = text.partition("://")
    if not separator or not scheme:
        raise _malformed(f"{shown} is no URI: write file:///absolute/folder/ instead")
    _supported(scheme, text)
    if "\0" in rest or any(ord(c) < 32 for c in rest):
        raise _malformed(f"{shown} holds control characters")
    host, _, _ = rest.partition("/")
    if host not in ("", "localhost"):
        raise _malformed(
            f"{shown} names a host; a path on this machine has three slashes, such as file:///data/videos/"
        )
    path = PurePosixPath("/" + rest[len(host) :].lstrip("/"))
    segments = rest.split("/")
    if ".." in segments or segments[-1] == ".":
        raise _malformed(f"{shown} goes around with '.' or '..'; name the folder itself")
    folder = rest.endswith("/")
    if not folder and path == PurePosixPath("/"):
        raise _malformed(f"{shown} names no folder")
    return Destination(scheme=scheme, path=path, folder=folder)


def extension(content_type: str | None, url: str) -> str:
    """The file name's ending for an announced media type; from the URL's path where the type says little."""
    known = _EXTENSIONS.get((content_type or "").lower())
    if known:
        return known
    try:
        found = _URL_EXTENSION.search(PurePosixPath(urlsplit(url).path).name)
    except ValueError:
        found = None
    return found.group(0).lower() if found else ".bin"


def _supported(scheme: str, uri: str) -> None:
    if scheme not in SUPPORTED_SCHEMES:
        raise _malformed(
            f"{_shown(uri)!r} has the scheme {scheme!r}; this version lands to "
            f"{', '.join(f'{s}://' for s in SUPPORTED_SCHEMES)}"
        )


def _shown(uri: str) -> str:
    scheme, separator, rest = uri.rpartition("://")
    if scheme not in SUPPORTED_SCHEMES:
        # A link to a bucket is signed in its query.
        rest = rest.partition("?")[0]
    # What stands before an @ is a connection id, or a mistake with a secret in it.
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _malformed(why: str) -> DestinationError:
    error = DestinationError(f"Invalid destination: {why}. Nothing was written.")
    error.retryable = False
    return error
