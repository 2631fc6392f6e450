"""Landing on this machine's disk: a temporary name beside the final one, then one rename."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from airflow_ltx.exceptions import DestinationError

_BUFFER = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: ``size`` in bytes, ``sha256`` as hex."""

    size: int
    sha256: str


def check_writable(directory: Path) -> None:
    """Create the folder if need be and write a byte into it, so that money is not spent for a full or
    read-only disk.

    :raises DestinationError: With the system's reason.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _temporary(directory / "probe") as (descriptor, path):
            os.write(descriptor, b"\0")
            path.unlink()
    except OSError as error:
        raise DestinationError(
            f"The destination folder {directory} cannot be written ({error.strerror or error}). Nothing was "
            "sent or billed. Correct the destination or the folder's permissions, then run the task again."
        ) from error


def write_whole(target: Path, chunks: Iterable[bytes]) -> Written:
    """Write all chunks to ``target``, which appears at once with its whole content, or not at all.

    An existing file of that name is replaced. Whatever ends the writing removes the temporary file; only a
    killed process leaves one behind, under a hidden name of its own.

    :raises DestinationError: The disk refused. What ``chunks`` raises passes through.
    """
    digest = hashlib.sha256()
    size = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(target) as (descriptor, path):
            with os.fdopen(os.dup(descriptor), "wb", buffering=_BUFFER) as file:
                for chunk in chunks:
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
            os.fsync(descriptor)
            path.replace(target)
        _sync_directory(target.parent)
    except OSError as error:
        raise DestinationError(
            f"Writing {target} failed after {size} bytes ({error.strerror or error}). Nothing partial was "
            "left under that name."
        ) from error
    return Written(size=size, sha256=digest.hexdigest())


@contextmanager
def _temporary(target: Path) -> Iterator[tuple[int, Path]]:
    path = target.with_name(f".{target.name[:180]}.{uuid.uuid4().hex}.part")
    # Not mkstemp: the final file should have the permissions that the umask gives.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        yield descriptor, path
    finally:
        with suppress(FileNotFoundError):
            path.unlink()
        os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    # Otherwise a power failure may undo the rename. Network file systems that refuse this sync by themselves.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
