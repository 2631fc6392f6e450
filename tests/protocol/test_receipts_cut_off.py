"""A submit whose connection breaks while its answer comes: what was said of the request is not forgotten."""

from __future__ import annotations

import asyncio
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airflow_ltx.exceptions import SubmitOutcomeUnknown
from airflow_ltx.segmind.async_client import AsyncSegmindClient
from airflow_ltx.segmind.client import SegmindClient
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.models import SubmittedRequest
from tests.protocol.file_host import answer, chunked

ID = "47411f110c6fa4fe05dcb9ffed2c1962"
RECEIPT = json.dumps({"request_id": ID, "status": "QUEUED"}, separators=(",", ":")).encode()
JSON = {"content_type": "application/json"}

both = pytest.mark.parametrize("kind", ["sync", "async"])


@contextmanager
def answering(said: bytes, *, stalls: bool = False) -> Iterator[str]:
    """A service that reads a submit, says ``said`` and closes, or falls silent."""
    over = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = 0
            while (line := self.rfile.readline().strip().lower()) != b"":
                if line.startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            self.rfile.read(length)
            self.connection.sendall(said)
            if stalls:
                over.wait(10)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
            thread.join()


def submitted(kind: str, base_url: str) -> SubmittedRequest:
    config = ClientConfig("SG_0123456789abcdef", base_url, timeout=0.5)
    if kind == "sync":
        with SegmindClient(config) as client:
            return client.submit("ltx-video", {"prompt": "a lighthouse"})

    async def go() -> SubmittedRequest:
        async with await AsyncSegmindClient.create(config) as client:
            return await client.submit("ltx-video", {"prompt": "a lighthouse"})

    return asyncio.run(go())


@both
@pytest.mark.parametrize("stalls", [False, True], ids=["closed", "silent"])
@pytest.mark.parametrize(
    "said",
    [
        chunked(RECEIPT, end=False, **JSON),
        chunked(RECEIPT[:20], RECEIPT[20:], end=False, **JSON),
        answer(200, RECEIPT, length=len(RECEIPT) + 5, **JSON),
        answer(202, RECEIPT, length=len(RECEIPT) + 5),
    ],
    ids=["no last chunk", "in pieces", "more announced", "accepted"],
)
def test_a_receipt_that_came_whole_counts(kind: str, said: bytes, stalls: bool) -> None:
    with answering(said, stalls=stalls) as base_url:
        request = submitted(kind, base_url)
    assert (request.request_id, request.model) == (ID, "ltx-video")


@both
@pytest.mark.parametrize(
    "said",
    [chunked(RECEIPT[:-3], end=False, **JSON), answer(200, RECEIPT[:-1], length=len(RECEIPT), **JSON)],
    ids=["chunked", "announced"],
)
def test_the_id_in_what_is_left_of_a_receipt_is_told(kind: str, said: bytes) -> None:
    with answering(said) as base_url, pytest.raises(SubmitOutcomeUnknown, match="Its id is") as caught:
        submitted(kind, base_url)
    assert caught.value.request_id == ID
    assert ID in caught.value.message


@both
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (200, RECEIPT[:40]),
        (200, b'{"request_id": "../../etc", "status": "QUEUED"'),
        (200, b'{"status": "QUEUED"}'),
        (200, b'["request_id"]'),
        (402, b'{"error": "Insufficient credits"}'),
        (404, b'{"message": "no Route matched", "request_id": "%s"}' % ID.encode()),
        (502, b'{"message": "upstream failed", "request_id": "%s"}' % ID.encode()),
    ],
)
def test_anything_less_names_no_request(kind: str, status: int, said: bytes) -> None:
    cut = answer(status, said, length=len(said) + 1, **JSON)
    with answering(cut) as base_url, pytest.raises(SubmitOutcomeUnknown) as caught:
        submitted(kind, base_url)
    assert caught.value.request_id is None
