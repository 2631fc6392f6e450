"""A bound on a whole blocking exchange: httpx bounds the silence between bytes, not how long they drip."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

# By their ends alone: httpcore names these events after who connects, which may be a proxy's side of it too.
# The one that counts is the last, since TLS takes the plain socket's descriptor away.
_CONNECTED = (".connect_tcp.complete", ".start_tls.complete")
_LOOK = 0.2


class _Watchdog:
    """Cuts the connections that were made within one exchange."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._expired = False

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


@contextmanager
def time_limit(
    seconds: float, stop: threading.Event | None = None
) -> Iterator[dict[str, Callable[..., None]]]:
    """Yield the ``extensions`` for httpx requests that must all be over after ``seconds``.

    When they are not, their connections are cut and httpx raises as for any lost connection. Only connections
    made within the block are seen, so the client must not keep any alive.

    :param stop: They must be over, too, a moment after it is set.
    """
    watchdog = _Watchdog()
    if stop is None:
        timer = threading.Timer(max(0.0, seconds), watchdog.expire)
        timer.daemon = True
        timer.start()
        over = timer.cancel
    else:
        ended = threading.Event()
        over = ended.set
        threading.Thread(target=_watch, args=(watchdog, seconds, stop, ended), daemon=True).start()
    try:
        yield {"trace": watchdog.trace}
    finally:
        over()


def _watch(watchdog: _Watchdog, seconds: float, stop: threading.Event, ended: threading.Event) -> None:
    """Nothing can wait for two events at once, so this looks at one of them now and then."""
    deadline = time.monotonic() + seconds
    while not ended.wait(min(_LOOK, max(0.0, deadline - time.monotonic()))):
        if stop.is_set() or time.monotonic() >= deadline:
            watchdog.expire()
            return


def _cut(connected: socket.socket) -> None:
    # The plain socket's shutdown wakes a thread that reads from it; a TLS socket's own would first take its
    # state away under that thread.
    with suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
