"""A file host on a real socket whose answers are written byte by byte by the test."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Answer = bytes | Callable[["Peer"], None]


@dataclass
class Request:
    """One request as it came: ``headers`` with lower-case names."""

    path: str
    headers: dict[str, str]


class Peer:
    """The other side of one connection."""

    def __init__(self, send: Callable[[bytes], Any], stopping: threading.Event) -> None:
        self.send = send
        self._stopping = stopping

    def drip(self, data: bytes, *, every: float) -> None:
        """One byte after another until all are sent, the reader leaves, or the host is closed."""
        for byte in data:
            if self._stopping.wait(every):
                return
            self.send(bytes([byte]))

    def stall(self, seconds: float) -> None:
        self._stopping.wait(seconds)


@dataclass
class FileHost:
    """Answers per path, one after another, the last one for ever; every connection is closed after one."""

    port: int
    requests: list[Request] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    scheme: str = "http"

    def url(self, path: str = "/v.mp4") -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def serve(self, *answers: Answer, path: str = "/v.mp4") -> str:
        self.answers[path] = list(answers)
        return self.url(path)


@contextmanager
def running_file_host(tls: ssl.SSLContext | None = None) -> Iterator[FileHost]:
    stopping = threading.Event()
    host = FileHost(0, scheme="http" if tls is None else "https")

    class Handler(socketserver.StreamRequestHandler):
        def setup(self) -> None:
            if tls is not None:
                self.request = tls.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            super().finish()
            # The server closes the plain socket, which this has taken the descriptor of.
            self.request.close()

        def handle(self) -> None:
            line = self.rfile.readline().decode("latin-1").split()
            headers: dict[str, str] = {}
            while (header := self.rfile.readline().decode("latin-1").strip()) != "":
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            if len(line) < 2:
                return
            path = line[1].partition("?")[0]
            host.requests.append(Request(line[1], headers))
            script = host.answers.get(path) or [answer(404)]
            mine = script.pop(0) if len(script) > 1 else script[0]
            try:
                if callable(mine):
                    mine(Peer(self.connection.sendall, stopping))
                else:
                    self.connection.sendall(mine)
            except OSError:
                pass  # the reader left

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        host.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield host
        finally:
            stopping.set()
            server.shutdown()
            thread.join()


def answer(status: int = 200, body: bytes = b"", *, length: int | None = None, **headers: str) -> bytes:
    """A whole answer; ``length`` is announced instead of the true one, -1: none is."""
    announced = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status} X", "connection: close"]
    lines += [] if announced < 0 else [f"content-length: {announced}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(*chunks: bytes, end: bool = True, **headers: str) -> bytes:
    head = answer(200, b"", length=-1, transfer_encoding="chunked", **headers)
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + body + (b"0\r\n\r\n" if end else b"")
