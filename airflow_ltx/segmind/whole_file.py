"""A file that appears whole or not at all: a temporary name beside the final one, then one rename."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.segmind.temporary import remove_leftovers, temporary


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: ``size`` in bytes, ``sha256`` as hex."""

    size: int
    sha256: str


def check_writable(directory: Path, *names: str) -> None:
    """Create the folder if need be and write a byte into it, so that no money is spent for a full or
    read-only disk.

    :param names: Of files there, or such as they will have: none may be a folder's nor a device's, nor too
        long.
    :raises DestinationError: With the system's reason.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in names:
            _check_lengths(directory, name)
            if (directory / name).is_dir():
                raise IsADirectoryError(
                    errno.EISDIR, f"{name} is a folder; end the destination with a slash to mean that"
                )
            _check_replaceable(directory / name)
        with temporary(directory) as (descriptor, _):
            os.write(descriptor, b"\0")
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        todo = "Make room there" if full else "Correct the destination or the folder's permissions"
        raise DestinationError(
            f"The destination folder {directory} cannot be written ({error.strerror or error}). Nothing was "
            f"written. {todo}, then run the task again."
        ) from error


def write_whole(target: Path, chunks: Iterable[bytes]) -> Written:
    """Write all chunks to ``target``, which appears at once with its whole content, or not at all.

    An existing file of that name is replaced; so is a symbolic link, and what it leads to stays as it is.
    Devices, FIFOs and sockets are refused. Whatever ends the writing removes the temporary file; only a
    killed process leaves one behind, under a hidden name of its own.

    :raises DestinationError: The disk refused. What ``chunks`` raises passes through.
    """
    with WholeFile(target) as file:
        for chunk in chunks:
            file.write(chunk)
        file.publish()
        return file.written()


class WholeFile:
    """As :func:`write_whole`, for bytes that are pushed. Left without :meth:`publish`, nothing remains.

    Only what the disk does becomes a ``DestinationError``.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._stack = temporary(target.parent)
        self._digest = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Self:
        with _refusals(self._target):
            self._target.parent.mkdir(parents=True, exist_ok=True)
            _check_replaceable(self._target)
            self._descriptor, self._path = self._stack.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(None, None, None)

    def write(self, chunk: bytes) -> None:
        """Append ``chunk`` to what will be the file."""
        with _refusals(self._target):
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        self._digest.update(chunk)
        self.size += len(chunk)

    def remove_leftovers(self) -> None:
        """Remove what killed writers have left beside it."""
        remove_leftovers(self._target.parent, self._descriptor)

    def written(self) -> Written:
        """Size and hash so far."""
        return Written(size=self.size, sha256=self._digest.hexdigest())

    def publish(self, *, replace: bool | str = True) -> None:
        """Make the file appear under its name, on the disk and not only in its cache.

        :param replace: Also in place of a file that is there; a disk has no versions.
        :raises FileExistsError: There is one, and it is not to be replaced.
        """
        with _refusals(self._target):
            os.fsync(self._descriptor)
            _check_replaceable(self._target)
            if replace:
                self._path.replace(self._target)
        if not replace:
            self._link()
        _sync_directory(self._target.parent)

    def _link(self) -> None:
        """A link is made only where nothing is; a rename would replace what another process has just put."""
        try:
            os.link(self._path, self._target)
        except FileExistsError:
            raise
        except OSError:
            # A file system without links. What is left is a moment between the look and the rename.
            if self._target.exists():
                raise FileExistsError(errno.EEXIST, "is there", str(self._target)) from None
            with _refusals(self._target):
                self._path.replace(self._target)


def _check_lengths(directory: Path, name: str) -> None:
    """Also of folders that are not there yet: the system sees no further than to the first of them."""
    longest = os.pathconf(directory, "PC_NAME_MAX")
    for part in Path(name).parts:
        if 0 < longest < len(os.fsencode(part)):
            raise OSError(errno.ENAMETOOLONG, f"{os.strerror(errno.ENAMETOOLONG)}: {part}")


def _check_replaceable(target: Path) -> None:
    """:raises OSError: A rename onto ``target`` would destroy what is no file, such as ``/dev/null``."""
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EEXIST, f"{target.name} is there, and is no regular file; it is left as it is")


@contextmanager
def _refusals(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DestinationError(
            f"Writing {target} failed ({error.strerror or error}). Nothing partial was left under that name."
        ) from error


def _sync_directory(directory: Path) -> None:
    # Otherwise a power failure may undo the rename. Network file systems that refuse this sync by themselves.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
