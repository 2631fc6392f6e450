"""A file host that takes its time, so that something can happen to whoever reads from it."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing

PIECE = bytes(range(256)) * 256
BEGINNING = b"\0\0\0\x18ftypisom" + PIECE


class SlowHost:
    """Sends ``pieces`` pieces of 64 KB, ``pause`` seconds apart, to whoever asks for anything.

    ``now`` and ``most`` count its readers at the same time. The content is made as it is sent.
    """

    def __init__(self, pieces: int, pause: float) -> None:
        self.pieces, self.pause = pieces, pause
        self.size = len(BEGINNING) + pieces * len(PIECE)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v.mp4"
        self.now = self.most = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def content(self) -> bytes:
        """The whole file."""
        return b"".join((BEGINNING, *(self.piece(number) for number in range(self.pieces))))

    def piece(self, number: int) -> bytes:
        """No two are the same: a part in another's place is noticed."""
        return number.to_bytes(8, "big") + PIECE[8:]

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                taken, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(taken,), daemon=True).start()

    def _serve(self, taken: socket.socket) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        head = f"HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ncontent-length: {self.size}\r\n"
        try:
            with closing(taken):
                taken.recv(65_536)
                taken.sendall(head.encode() + b"connection: close\r\n\r\n" + BEGINNING)
                for number in range(self.pieces):
                    if self.pause:
                        time.sleep(self.pause)
                    taken.sendall(self.piece(number))
        except OSError:
            pass
        finally:
            with self._lock:
                self.now -= 1
