"""The emulator's core behind httpx, without a socket: what the thin server does, done in memory."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import pytest

from airflow_ltx.emulator.core import EmulatorCore
from airflow_ltx.emulator.faults import FaultRule
from airflow_ltx.emulator.ledger import Submission
from airflow_ltx.emulator.messages import EmulatedRequest, EmulatedResponse
from airflow_ltx.emulator.resolution import VideoPlan
from airflow_ltx.emulator.settings import Settings
from airflow_ltx.segmind import async_client
from tests.virtual.clock import VirtualClock
from tests.virtual.processes import acting

BASE_URL = "http://emulator.test:1"
KEY = "SG_0123456789abcdef"
_INFERENCE = (2.0, 30.0)
HISTORY = "/inference-request/request-history"
AT_A_COST = "failed at a cost"
"""A failure with these words is billed, as the emulator's own never are."""
_COST = 0.0125


def content(plan: VideoPlan) -> bytes:
    """A job's file: bytes of its own, and a length that it shares with some."""
    digest = hashlib.sha256(plan.file_name.encode()).digest()
    return b"\x00\x00\x00\x20ftypisom" + digest * (2 + digest[0] % 3)


class VirtualService:
    """One account at the service, and the network before it.

    :ivar unreachable: So many calls find nobody at the address; None: all.
    :ivar delayed: Seconds by which the next submits arrive after their senders have given up waiting.
    :ivar on_sent: Asked for a note whenever something is to be posted; told the body.
    :ivar on_accepted: Told of each accepted submit, with the note; its sender may never hear of it.
    :ivar told_of: How often the history told one request that it was asked for.
    :ivar on_gone: Told the id of each request of which the history says that there is none.
    :ivar on_history: Told of each question to the request history, and of the rows if an answer comes intact.
        All that happens here fits into one page.
    """

    def __init__(self, clock: VirtualClock, seed: int) -> None:
        self.clock = clock
        self.core = EmulatorCore(
            Settings(
                seed=seed,
                api_keys=frozenset({KEY}),
                queue_seconds=(0.0, 5.0),
                inference_seconds=_INFERENCE,
                credits=1e6,
            ),
            clock,
        )
        self.unreachable = 0
        self.told_of = 0
        self.delayed: list[float] = []
        self.on_sent: Callable[[Any], Any] = lambda body: None
        self.on_accepted: Callable[[Submission, Any], None] = lambda submission, note: None
        self.on_history: Callable[[list[dict[str, Any]] | None], None] = lambda rows: None
        self.on_gone: Callable[[str], None] = lambda request_id: None

    def fault(self, rule: str) -> None:
        """Script one more thing that goes wrong."""
        self.core.add_faults([FaultRule.from_compact(rule)])

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.core.set_faults([])
        self.core.configure(
            {"history_lag_seconds": 0.0, "record_lag_seconds": 0.0, "inference_seconds": _INFERENCE}
        )
        self.unreachable = 0
        self.delayed.clear()

    def exchange(self, request: httpx.Request) -> httpx.Response:
        """One call by blocking code."""
        for told in self._answers(request, request.read()):
            if isinstance(told, EmulatedResponse):
                return self._delivered(request, told)
            self.clock.blocking.sleep(told)
        raise AssertionError("no answer")

    async def aexchange(self, request: httpx.Request) -> httpx.Response:
        """One call by a coroutine."""
        for told in self._answers(request, await request.aread()):
            if isinstance(told, EmulatedResponse):
                return self._delivered(request, told)
            await self.clock.cooperative.sleep(told)
        raise AssertionError("no answer")

    def _answers(self, request: httpx.Request, body: bytes) -> Iterator[float | EmulatedResponse]:
        """The seconds that pass meanwhile, and then the answer."""
        place = f"{request.method} {request.url.path}"
        acting().step(place)
        if request.url.path == HISTORY:
            self.on_history(None)
        note = self.on_sent(json.loads(body)) if request.method == "POST" else None
        if self.unreachable:
            self.unreachable -= 1
            raise httpx.ConnectError("Connection refused", request=request)
        patience = request.extensions["timeout"]["read"]
        incoming = EmulatedRequest(
            method=request.method,
            path=request.url.path,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
            base_url=BASE_URL,
            query=dict(request.url.params),
        )
        if request.method == "POST" and self.delayed:
            late = partial(self._handled, incoming, self.core.handle, note)
            self.clock.at(self.clock() + patience + self.delayed.pop(), late)
            yield patience
            raise httpx.ReadTimeout("The read operation timed out", request=request)
        answer = self._handled(incoming, self.core.handle, note)
        while answer.stall:
            yield min(answer.stall, patience)
            if answer.stall > patience:
                raise httpx.ReadTimeout("The read operation timed out", request=request)
            answer = (
                self._handled(incoming, self.core.resume, note)
                if answer.unhandled
                else dataclasses.replace(answer, stall=0.0)
            )
        acting().step(f"answer to {place}")
        yield answer

    def _handled(
        self,
        incoming: EmulatedRequest,
        handle: Callable[[EmulatedRequest], EmulatedResponse],
        note: Any,
    ) -> EmulatedResponse:
        known = len(self.core.ledger.submissions)
        answer = handle(incoming)
        for submission in self.core.ledger.submissions[known:]:
            if submission.accepted:
                self.on_accepted(submission, note)
        for plan in (answer.render, answer.file):
            if plan is not None:
                self.core.note_size(plan.file_name, len(content(plan)))
        return answer

    def _delivered(self, request: httpx.Request, answer: EmulatedResponse) -> httpx.Response:
        if answer.reset:
            raise httpx.ReadError("[Errno 104] Connection reset by peer", request=request)
        body = _charged(answer.body) if answer.file is None else content(answer.file)
        if answer.status == 404 and request.url.path.startswith(f"{HISTORY}/"):
            self.on_gone(request.url.path.rpartition("/")[2])
        if answer.status == 200 and request.url.path.startswith(f"{HISTORY}/"):
            self.told_of += 1
        stream = _Body(body, request, answer.truncate, in_pieces=answer.file is not None)
        if answer.status == 200 and not stream.cut and request.url.path == HISTORY:
            self.on_history(_rows(body))
        headers = {**answer.headers, "content-length": str(len(body))}
        return httpx.Response(answer.status, headers=headers, stream=stream, request=request)


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body on its way, which may be cut; a file comes in pieces, and its reader can die between them."""

    def __init__(self, body: bytes, request: httpx.Request, limit: int | None, *, in_pieces: bool) -> None:
        self.cut = limit is not None and limit < len(body)
        self._body = body[:limit]
        self._request = request
        self._in_pieces = in_pieces

    def __iter__(self) -> Iterator[bytes]:
        middle = len(self._body) // 2 if self._in_pieces else 0
        for piece in (self._body[:middle], self._body[middle:]):
            if self._in_pieces:
                acting().step("bytes of a file")
            if piece:
                yield piece
        if self.cut:
            raise httpx.RemoteProtocolError("peer closed connection", request=self._request)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def _charged(body: bytes) -> bytes:
    """The answer of a service that bills for some failures: it names their cost."""
    if AT_A_COST.encode() not in body:
        return body
    told = json.loads(body)
    for row in told.get("data", [told]):
        if "metrics" in row:
            row["metrics"]["cost"] = _COST
        elif row.get("error") is not None:
            row["credits_deduction"] = _COST
    return json.dumps(told).encode()


def _rows(body: bytes) -> list[dict[str, Any]] | None:
    try:
        return list(json.loads(body)["data"])
    except (ValueError, KeyError, TypeError):
        return None


@contextmanager
def in_place_of_the_network(service: Callable[[], VirtualService]) -> Iterator[None]:
    """Every httpx client of this process talks to ``service()``."""

    def exchange(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        return service().exchange(request)

    async def aexchange(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        return await service().aexchange(request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.HTTPTransport, "handle_request", exchange)
        patch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", aexchange)
        patch.setattr(async_client, "lean_transport", httpx.AsyncHTTPTransport)
        yield
