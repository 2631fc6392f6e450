"""The disk of this machine, or one that it mounts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.landing.destination import Destination
from airflow_ltx.landing.place import Attributes, Found, Upload
from airflow_ltx.segmind.whole_file import WholeFile, check_writable

_swept: set[Path] = set()
"""Folders that were looked through by this process."""


class LocalPlace:
    """See :class:`~airflow_ltx.landing.place.Place`."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination

    def check(self, *samples: str) -> None:
        """Also makes the folder, and writes a byte into it."""
        folder = Path(self._destination.directory or "/")
        check_writable(folder, *(str(Path(sample).relative_to(folder)) for sample in samples))

    def find(self, path: str) -> Found | None:
        """See the protocol."""
        with _readable(path):
            try:
                return Found(Path(path).stat().st_size)
            except FileNotFoundError:
                return _dangling(path)
            except NotADirectoryError:
                return None

    def sha256(self, path: str) -> str | None:
        """See the protocol."""
        with _readable(path):
            try:
                with Path(path).open("rb") as file:
                    return hashlib.file_digest(file, "sha256").hexdigest()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read(self, path: str) -> bytes | None:
        """See the protocol."""
        with _readable(path):
            try:
                return Path(path).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, path: str, content: bytes, content_type: str) -> None:
        """See the protocol. What killed processes have left in the folder is removed, once in a process."""
        folder = Path(path).parent
        with WholeFile(Path(path)) as file:
            if folder not in _swept:
                _swept.add(folder)
                file.remove_leftovers()
            file.write(content)
            file.publish()

    @contextmanager
    def upload(self, path: str, attributes: Attributes, *, overwrite: bool = False) -> Iterator[Upload]:
        """See the protocol. What killed processes have left in the folder is removed."""
        with WholeFile(Path(path)) as file:
            file.remove_leftovers()
            yield file


def _dangling(path: str) -> Found | None:
    """A link that leads nowhere has the name, too."""
    try:
        return Found(Path(path).lstat().st_size)
    except FileNotFoundError:
        return None


@contextmanager
def _readable(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DestinationError(f"file://{path} could not be read ({error.strerror or error}).") from error
