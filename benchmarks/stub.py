"""A server on loopback that answers polls of several APIs with "still running", as cheaply as Python can.

A process of its own, so that none of its work is counted as a client's. It keeps the times of the polls: how
late one was is seen here, and is the same thing for every client.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from array import array
from types import TracebackType
from typing import Any, Self

FORGET, BEGIN, COUNTS, GAPS = "/_forget", "/_begin", "/_counts", "/_gaps"

_REQUEST_ID = "0123456789abcdef0123456789abcdef"
_AT = "2026-01-01T00:00:00Z"
_SEGMIND = {"request_id": _REQUEST_ID, "status": "PROCESSING", "model": "ltx-video", "metrics": {}}
_OPENAI = {
    "id": "batch_1",
    "object": "batch",
    "endpoint": "/v1/chat/completions",
    "input_file_id": "file-1",
    "completion_window": "24h",
    "status": "in_progress",
    "created_at": 1767225600,
}
_ANTHROPIC = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "in_progress",
    "created_at": _AT,
    "expires_at": _AT,
    "archived_at": None,
    "cancel_initiated_at": None,
    "ended_at": None,
    "results_url": None,
    "request_counts": {"processing": 1, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
}


def _answer(status: str, body: Any) -> bytes:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


_ANSWERS = {
    b"v2": _answer("200 OK", _SEGMIND),
    b"openai": _answer("200 OK", _OPENAI),
    b"anthropic": _answer("200 OK", _ANTHROPIC),
    # What the http provider's trigger waits for is that something is there.
    b"http": _answer("404 Not Found", {"detail": "not yet"}),
}


class Record:
    """Who was asked for, and when."""

    def __init__(self) -> None:
        self.open = 0
        self.forget()

    def forget(self) -> None:
        """As if nobody had been asked for."""
        self._last: dict[bytes, float] = {}
        self.begin()

    def begin(self) -> None:
        """Count from now on."""
        self._requests = self._opened = 0
        self._gaps = array("d")
        self._begun = time.monotonic()
        self._since: set[bytes] = set()

    def connected(self, change: int) -> None:
        self.open += change
        self._opened += max(0, change)

    def polled(self, path: bytes) -> None:
        at = time.monotonic()
        self._requests += 1
        if path in self._since:
            self._gaps.append(at - self._last[path])
        self._since.add(path)
        self._last[path] = at

    def counts(self) -> dict[str, int]:
        return {
            "requests": self._requests,
            "opened": self._opened,
            # But for the one of who asks.
            "open": self.open - 1,
            "polled": len(self._last),
        }

    def gaps(self) -> list[float]:
        """Seconds between two polls of the same thing, both of which were counted; those that are not over
        yet, too."""
        at = time.monotonic()
        return [*self._gaps, *(at - max(last, self._begun) for last in self._last.values())]


class _Connection(asyncio.Protocol):
    def __init__(self, record: Record) -> None:
        self._record = record
        self._read = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        self._record.connected(1)

    def connection_lost(self, error: Exception | None) -> None:
        self._record.connected(-1)

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head, self._read = self._read[:end], self._read[end + 4 :]
            path = head.split(b" ", 2)[1]
            self._transport.write(self._respond(path))
            if b"\nconnection: close" in head.lower():
                self._transport.close()

    def _respond(self, path: bytes) -> bytes:
        if path.startswith(b"/_"):
            return _answer("200 OK", self._tell(path.decode()))
        self._record.polled(path)
        return _ANSWERS[path.split(b"/", 2)[1]]

    def _tell(self, path: str) -> Any:
        match path:
            case "/_forget":
                self._record.forget()
            case "/_begin":
                self._record.begin()
            case "/_gaps":
                return self._record.gaps()
        return self._record.counts()


class Stub:
    """The server as a child process, ended with its owner: it reads from a pipe that closes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None  # noqa: S101
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.close()
        self._process.wait(10)


async def _serve() -> None:
    record = Record()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(record), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    asyncio.run(_serve())
