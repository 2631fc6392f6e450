"""A landing in a thread of its own: whatever ends its caller, it ends by undoing what it had begun."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")

LAST_WORDS = 30.0
"""Seconds that a landing is given to undo what it had begun."""


def in_thread(work: Callable[[threading.Event], T]) -> T:
    """Run ``work`` and wait for it. An exception that is thrown into the caller, as a time-out of Airflow is,
    sets the event that ``work`` is given, and goes on once it has ended."""
    stop = threading.Event()
    future: Future[T] = Future()
    # The context has what Airflow's logging knows of the task.
    context = copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(work, stop))
        except BaseException as error:
            future.set_exception(error)

    # A daemon, so that a storage that does not answer cannot keep an ended process alive.
    thread = threading.Thread(target=run, name="airflow-ltx-landing", daemon=True)
    thread.start()
    try:
        return future.result()
    except BaseException:
        stop.set()
        thread.join(LAST_WORDS)
        raise
