"""Where files are put, behind one protocol: a disk, or one of three kinds of object storage."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from airflow_ltx.landing.destination import Destination
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.whole_file import Written

CALL_LIMIT = 60.0
"""Seconds for what is done beside a landing: a check, a record."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a storage may take.

    :param deadline: On ``clock``; None gives each call :data:`CALL_LIMIT`.
    :param stop: Once it is set, nobody wants the file any more.
    """

    deadline: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = now


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is there. ``request_id``: whose it is, where the storage keeps such a mark.

    :param version: By what the storage knows this one from others under the name, before it and after it.
    """

    size: int
    request_id: str | None = None
    version: str | None = field(default=None, compare=False)


Replace = bool | str
"""What may lose its name to a file: nothing (False), whatever there is (True), or just this version."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is kept with a file, where the storage can."""

    content_type: str | None
    request_id: str


class Upload(Protocol):
    """Bytes on their way to a name. Left without :meth:`publish`, nothing of them remains."""

    @property
    def size(self) -> int:
        """Bytes so far."""

    def write(self, chunk: bytes) -> None:
        """Append.

        :raises DestinationError: The storage refuses.
        """

    def written(self) -> Written:
        """Size and hash so far."""

    def publish(self, *, replace: Replace) -> None:
        """Make the file appear under its name, whole.

        :param replace: A version is heeded where the storage can.
        :raises FileExistsError: There is one already, and it is not to be replaced.
        :raises DestinationError: The storage refuses.
        """


class Place(Protocol):
    """A storage, as the destination's connection reaches it.

    :raises DestinationError: It cannot be reached, or refuses. "Cannot tell" is never "is not there".
    """

    def check(self, *samples: str) -> None:
        """Look whether files can be put here, as far as that can be seen without one.

        :param samples: Paths such as they will have.
        """

    def find(self, path: str) -> Found | None:
        """The file under a name, None if there certainly is none."""

    def sha256(self, path: str) -> str | None:
        """The hash of its content, which is read; None if there certainly is none."""

    def read(self, path: str) -> bytes | None:
        """A small file's content, None if there certainly is none."""

    def write(self, path: str, content: bytes, content_type: str) -> None:
        """Put a small file, whole, in place of an earlier one."""

    def upload(
        self, path: str, attributes: Attributes, *, overwrite: bool = False
    ) -> AbstractContextManager[Upload]:
        """Begin a file. Left without an error, what dead attempts at the name have left is gone, too.

        :param overwrite: Whatever has the name meanwhile may be replaced.
        """


def place_of(destination: Destination, limits: Limits | None = None) -> Place:
    """The storage of a destination. Nothing is asked of it yet."""
    limits = limits or Limits()
    if not destination.remote:
        from airflow_ltx.landing.local_place import LocalPlace

        return LocalPlace(destination)
    from airflow_ltx.landing.remote_place import RemotePlace

    return RemotePlace(destination, limits)
