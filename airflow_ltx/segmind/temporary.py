"""Temporary files beside the final ones. Each is locked by its writer, so that dead ones are known."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

_PREFIX, _SUFFIX = ".airflow-ltx-", ".part"

DEAD_AFTER = 3600.0
"""Seconds after which a temporary file that nobody writes to is a dead writer's, where locks do not tell."""


@contextmanager
def temporary(directory: Path) -> Iterator[tuple[int, Path]]:
    """A new file's descriptor and path. What is left of it at the end goes."""
    name = f"{uuid.uuid4().hex}{_SUFFIX}"
    path = directory / f"{_PREFIX}{name}"
    # Not mkstemp: the final file should have the permissions that the umask gives.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        # Only what is locked is called so: between the two steps nobody may take it for a dead writer's.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path = path.rename(directory / f"{_locked_here()}{name}")
        yield descriptor, path
    finally:
        with suppress(FileNotFoundError):
            path.unlink()
        os.close(descriptor)


def remove_leftovers(directory: Path, descriptor: int) -> None:
    """Remove what dead writers have left in a folder.

    :param descriptor: Of a temporary file of one's own there.
    """
    own = os.fstat(descriptor)
    for path in list(directory.glob(f"{_PREFIX}*{_SUFFIX}")):
        with suppress(OSError):
            if _is_dead(path, own):
                path.unlink()


def _is_dead(path: Path, own: os.stat_result) -> bool:
    found = path.lstat()
    if os.path.samestat(found, own):
        return False
    locked = _is_locked(path) if path.name.startswith(_locked_here()) else None
    # By the file system's own clock, which on a network is another machine's.
    return own.st_mtime - found.st_mtime > DEAD_AFTER if locked is None else not locked


def _is_locked(path: Path) -> bool | None:
    """None if that cannot be told."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    else:
        return False
    finally:
        os.close(descriptor)


@lru_cache(maxsize=1)
def _locked_here() -> str:
    """How a name begins whose lock is seen from here. Over a network only some file systems show the locks of
    another machine, and none says whether it does; one kernel's processes always see each other's."""
    try:
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    except OSError:
        kernel = f"{uuid.getnode():x}"
    return f"{_PREFIX}{kernel}-"
