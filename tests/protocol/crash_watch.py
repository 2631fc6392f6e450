"""Sees I/O that no tap counts: it would be a step at which no task ever dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crash_points import Points

_ON_FILES = frozenset(
    {
        "open", "os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink",
        "os.truncate", "os.utime",
    }
)  # fmt: skip
_ELSEWHERE = frozenset({"socket.connect", "subprocess.Popen", "time.sleep"})

_watched: tuple[Points, Path] | None = None
_hooked = False


@contextmanager
def watched(points: Points, folder: Path) -> Iterator[None]:
    """Note in ``points`` what is done in ``folder``, to the network or to the clock outside of a step."""
    global _watched, _hooked
    if not _hooked:
        # For good: the interpreter takes no hook off again. It ends with the leg's process.
        sys.addaudithook(_see)
        _hooked = True
    _watched = (points, folder)
    try:
        yield
    finally:
        _watched = None


def _see(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is None or event not in _ON_FILES | _ELSEWHERE:
        return
    points, folder = _watched
    if points.inside:
        return
    if event in _ELSEWHERE or (
        isinstance(arguments[0], str | bytes | os.PathLike)
        and Path(os.fsdecode(arguments[0])).is_relative_to(folder)
    ):
        points.uncounted.append(f"{event}{arguments!r:.200}")
