"""Which processes belong to whom.

Every process is started with a mark in its environment, which all its descendants inherit: workers that
changed their process group, tasks, what tasks start. Whoever dropped the mark is found as a child, or in the
session, of a marked one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped]

MARK = "LOCAL_STACK_MARK"


@dataclass(frozen=True)
class Row:
    """One living process."""

    pid: int
    parent: int
    session: int
    mark: str | None


def belongs(mark: str | None, owner: str, name: str | None) -> bool:
    """Whether a mark is of this owner, and of that process of it if a name is given."""
    if mark is None:
        return False
    return mark.startswith(f"{owner}:") if name is None else mark == f"{owner}:{name}"


def members(rows: Iterable[Row], owner: str, name: str | None = None, *, me: int) -> set[int]:
    """Pids of everything that `owner` started (under `name`), never `me` itself."""
    table = [row for row in rows if row.pid != me]
    found = {row.pid for row in table if belongs(row.mark, owner, name)}
    # Each process starts a session of its own, so such a session holds nobody else.
    sessions = {row.session for row in table if row.pid in found}
    grown = True
    while grown:
        more = {
            row.pid
            for row in table
            if row.pid not in found
            and (row.parent in found or row.session in sessions)
            and (row.mark is None or belongs(row.mark, owner, name))
        }
        found |= more
        grown = bool(more)
    return found


def _row(process: psutil.Process) -> Row | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        parent = process.ppid()
        session = os.getsid(process.pid)
    except (psutil.Error, OSError):
        return None
    mark: str | None = None
    with suppress(psutil.Error, OSError):
        mark = process.environ().get(MARK)
    return Row(process.pid, parent, session, mark)


def snapshot() -> list[Row]:
    """All living processes; zombies hold nothing and are their parent's affair."""
    rows = (_row(process) for process in psutil.process_iter())
    return [row for row in rows if row is not None]


def living(owner: str, name: str | None = None) -> list[int]:
    return sorted(members(snapshot(), owner, name, me=os.getpid()))


def send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
