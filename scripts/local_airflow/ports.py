"""Ports that stay ours from the moment they are chosen."""

from __future__ import annotations

import socket
import sys


class ReservedPort:
    """A free port on loopback.

    On Linux the socket stays bound, not listening: nobody is given the port meanwhile, while a server that
    sets SO_REUSEADDR (as asyncio's do) can listen on it. Elsewhere that server would be refused, so it is let
    go at once.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]
        if not sys.platform.startswith("linux"):
            self.release()

    def release(self) -> None:
        self._socket.close()
