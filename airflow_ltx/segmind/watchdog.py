"""A bound on a whole blocking exchange: httpx bounds the silence between bytes, not how long they drip."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

# By their ends alone: httpcore names these events after who connects, which may be a proxy's side of it too.
# The one that counts is the last, since TLS takes the plain socket's descriptor away.
_CONNECTED = (".connect_tcp.complete", ".start_tls.complete")
_LOOK = 0.2


class TimeLimit:
    """Cuts the connections that were made within one exchange."""

    def __init__(self, seconds: float, stop: threading.Event | None) -> None:
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._expired = False
        self._deadline = time.monotonic() + seconds
        self._stop = stop

    @property
    def extensions(self) -> dict[str, Callable[..., None]]:
        """For httpx requests."""
        return {"trace": self.trace}

    @property
    def expired(self) -> bool:
        """Whether what is connected was cut: an end that was seen after that proves nothing."""
        return self._expired

    @property
    def left(self) -> float:
        """Seconds."""
        if self._expired or (self._stop is not None and self._stop.is_set()):
            return 0.0
        return max(0.0, self._deadline - time.monotonic())

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """httpcore's ``trace`` extension."""
        if not event.endswith(_CONNECTED):
            return
        connected = info["return_value"].get_extra_info("socket")
        if connected is None:
            return
        with self._lock:
            self._sockets.append(connected)
            if self._expired:
                _cut(connected)

    def expire(self) -> None:
        """Cut what is connected, and whatever connects from now on."""
        with self._lock:
            self._expired = True
            for connected in self._sockets:
                _cut(connected)


_current: ContextVar[TimeLimit | None] = ContextVar("airflow_ltx_time_limit", default=None)


def seconds_left() -> float | None:
    """Of the innermost :func:`time_limit` around this code; None if there is none."""
    limit = _current.get()
    return None if limit is None else limit.left


@contextmanager
def time_limit(seconds: float, stop: threading.Event | None = None) -> Iterator[TimeLimit]:
    """Yield what is to be told of httpx requests that must all be over after ``seconds``.

    When they are not, their connections are cut and httpx raises as for any lost connection. Only connections
    made within the block are seen, so the client must not keep any alive.

    :param stop: They must be over, too, a moment after it is set.
    """
    limit, before = TimeLimit(seconds, stop), _current.get()
    if stop is None:
        timer = threading.Timer(max(0.0, seconds), limit.expire)
        timer.daemon = True
        timer.start()
        over = timer.cancel
    else:
        ended = threading.Event()
        over = ended.set
        threading.Thread(target=_watch, args=(limit, ended), daemon=True).start()
    _current.set(limit)
    try:
        yield limit
    finally:
        # Not by a token: a generator may be closed in another context than it was begun in.
        _current.set(before)
        over()


def _watch(limit: TimeLimit, ended: threading.Event) -> None:
    """Nothing can wait for two events at once, so this looks at the one that stops it now and then."""
    while not ended.wait(min(_LOOK, limit.left)):
        if limit.left <= 0:
            limit.expire()
            return


def _cut(connected: socket.socket) -> None:
    # The plain socket's shutdown wakes a thread that reads from it; a TLS socket's own would first take its
    # state away under that thread.
    with suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
