"""Processes that can die at any step: all I/O of the code under test is one before and one after it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk.exceptions import AirflowTaskTimeout


class Killed(BaseException):
    """The process is no more. Nothing may catch it; what does is killed again at its next step."""


@dataclass
class Refusals:
    """How often Airflow's API server and the disk will refuse what they are asked.

    :param disk: New files, folders and renames; what exists can be read and removed.
    """

    task_state: int = 0
    xcom: int = 0
    disk: int = 0

    def heed(self, step: str) -> None:
        """Raise what the step raises instead of having an effect."""
        if step.startswith(("reading the task state", "writing the task state")) and self.task_state:
            self.task_state -= 1
            raise RuntimeError("API_SERVER_ERROR")
        # One that the framework cannot push fails its task, with whatever was bought.
        if step.startswith("pushing the XCom") and not step.endswith("return_value") and self.xcom:
            self.xcom -= 1
            raise RuntimeError("API_SERVER_ERROR")
        if step in ("disk: open", "disk: os.mkdir", "disk: os.rename") and self.disk:
            self.disk -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@dataclass
class Process:
    """A worker's leg of a task, or the triggerer.

    :param dies_at: The step, counted from 1, at which it ends; None: it lives.
    :param how: ``kill``: at once. ``term``: ``on_kill`` is called first, as Airflow's signal handler does.
        ``timeout``: it lives, and the step raises what ``execution_timeout`` raises.
    :param refusals: What it finds refused.
    :param on_kill: What ``term`` calls.
    """

    name: str
    dies_at: int | None = None
    how: str = "kill"
    refusals: Refusals | None = None
    on_kill: Callable[[], Any] | None = None
    dead: bool = False
    steps: list[str] = field(default_factory=list)

    @property
    def met_its_end(self) -> bool:
        """Whether it came to the step at which it ends."""
        return self.dies_at is not None and len(self.steps) >= self.dies_at

    def step(self, what: str) -> None:
        """Something outside is about to be touched, or has been."""
        if self.dead:
            raise Killed(self.name)
        self.steps.append(what)
        if len(self.steps) != self.dies_at:
            if self.refusals is not None:
                self.refusals.heed(what)
            return
        if self.how == "timeout":
            raise AirflowTaskTimeout(f"Timeout at {what}")
        if self.how == "term" and self.on_kill is not None:
            self.on_kill()
        self.dead = True
        raise Killed(f"{self.name} at {what}")

    def past_its_time_limit(self) -> None:
        """What follows is the framework's, which ``execution_timeout`` does not reach."""
        if self.how == "timeout":
            self.dies_at = None


_acting: ContextVar[Process | None] = ContextVar("acting", default=None)
_errand: ContextVar[Any] = ContextVar("errand", default=None)
_WRITES = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"})


def acting() -> Process:
    """Whose code is running."""
    process = _acting.get()
    assert process is not None, "code under test runs outside of any process"
    return process


def errand() -> Any:
    """What the code that is running is about, as :func:`running_as` was told."""
    return _errand.get()


@contextmanager
def running_as(process: Process, about: Any = None) -> Iterator[None]:
    """What runs inside is the process's, and so is what it begins."""
    tokens = _acting.set(process), _errand.set(about)
    try:
        yield
    finally:
        _acting.reset(tokens[0])
        _errand.reset(tokens[1])


def _watch_disk(event: str, arguments: tuple[Any, ...]) -> None:
    # Called for everything that Python audits: what is not a process's must be let through quickly.
    if event != "open" and event not in _WRITES:
        return
    process = _acting.get()
    if process is None:
        return
    if event == "open":
        path, _, flags = arguments
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if not writes or not isinstance(path, str | bytes | os.PathLike):
            return
    process.step(f"disk: {event}")


# An audit hook sees every writer, whichever module it is in. It cannot be removed again, and does nothing
# outside of running_as().
sys.addaudithook(_watch_disk)
