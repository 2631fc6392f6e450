"""Ending work that runs in a thread of its own: it looks, at each step, whether it is still wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

_STEP = 64 * 1024


class Stopped(Exception):
    """The work was given up; what it had begun is undone on the way out."""


def check_wanted(stop: threading.Event) -> None:
    """:raises Stopped: ``stop`` is set."""
    if stop.is_set():
        # Not chained to what breaks when a connection is cut: that is no news.
        raise Stopped from None


def until(stop: threading.Event, chunks: Iterator[bytes], *, rest: float = 0.0) -> Iterator[bytes]:
    """``chunks``, until ``stop`` is set.

    :param rest: Seconds after each 64 KB: over TLS a chunk is a quarter of that, or less.
    :raises Stopped: It is.
    """
    passed = 0
    for chunk in chunks:
        steps, passed = divmod(passed + len(chunk), _STEP)
        if stop.wait(steps * rest) if steps and rest else stop.is_set():
            raise Stopped
        yield chunk


def sleeping(stop: threading.Event) -> Callable[[float], None]:
    """A ``sleep`` that ends when ``stop`` is set, with :class:`Stopped`."""
    return partial(_sleep, stop)


def _sleep(stop: threading.Event, seconds: float) -> None:
    if stop.wait(seconds):
        raise Stopped
