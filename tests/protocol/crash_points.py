"""The points at which a leg of a task can die: every step of its I/O, counted while it runs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from airflow.sdk.exceptions import AirflowTaskTimeout

Target = str | int | None
"""A step by its name, with its number among those of that name, or by its place among all; None is none."""


class Points:
    """Counts the steps of one leg, and ends the leg at one of them.

    :param target: Where it ends.
    :param end: Does not return.
    :ivar inside: How many steps are being taken: I/O is counted there, and nowhere else.
    :ivar uncounted: I/O outside of all steps.
    """

    def __init__(self, target: Target, end: Callable[[], NoReturn]) -> None:
        self.seen: list[str] = []
        self.reached = False
        self.inside = 0
        self.uncounted: list[str] = []
        self._target = target
        self._end = end
        self._counts: Counter[str] = Counter()

    def at(self, name: str) -> None:
        """The leg has come to the step ``name``."""
        self._counts[name] += 1
        step = f"{name} #{self._counts[name]}"
        self.seen.append(step)
        if not self.reached and self._target in (step, len(self.seen) - 1):
            self.reached = True
            self._end()

    @contextmanager
    def around(self, name: str) -> Iterator[None]:
        """Two steps: before the block had its effect, and after it."""
        self.at(f"{name}, before")
        with self.counting():
            yield
        self.at(f"{name}, after")

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Around I/O whose steps are counted."""
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


def name_of(step: str) -> str:
    """The step's name without its number."""
    return step.rpartition(" #")[0]


def kill() -> NoReturn:
    """No handler of anybody's runs after this."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a killed process goes on")


def ending(name: str) -> Callable[[], NoReturn]:
    """``kill``, or what a signal, a time-out or a cancellation raises in the midst of code that lives on."""
    if name == "kill":
        return kill

    def end() -> NoReturn:
        raise ENDINGS[name]("ended by the test")

    return end


ENDINGS: dict[str, type[BaseException]] = {
    kind.__name__: kind
    for kind in (KeyboardInterrupt, SystemExit, AirflowTaskTimeout, asyncio.CancelledError)
}
