"""Puts :class:`~crash_points.Points` into what the package does its I/O with: httpx, files, its clock."""

from __future__ import annotations

import asyncio
import io
import json
import os
import select
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from crash_points import Points

import airflow_ltx.segmind.clock
from airflow_ltx.landing.remote_place import RemotePlace
from airflow_ltx.segmind.aiohttp_transport import AiohttpTransport

_ENOUGH = 20.0


def tap(points: Points, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Count the steps of HTTP, of files in ``folder``, and of pauses; ``patch`` takes the taps off again."""
    _tap_http(points, patch)
    _tap_files(points, folder, patch)
    _tap_clock(points, patch)
    _tap_store(points, patch)


def _call(request: httpx.Request) -> str:
    path = request.url.path
    if request.method == "POST":
        return "the submit"
    if path.startswith("/files/"):
        return "the download"
    if path.startswith("/inference-request/"):
        return "the history"
    return "the status" if path.endswith("/status") else "the result"


def _outcome(call: str, body: bytes) -> str:
    """What tells one look at a request from the next: how often it still runs is chance."""
    if call != "the status":
        return call
    word = json.loads(body).get("status")
    return f"{call} {word if word == 'COMPLETED' else 'unfinished'}"


class _Exchange:
    """The steps of one HTTP exchange, ordinary or async."""

    def __init__(self, points: Points, request: httpx.Request) -> None:
        self._points = points
        self._call = _call(request)
        self._body = bytearray()
        self._socket: socket.socket | None = None
        points.at(f"{self._call}: nothing is sent")

    def trace(self, event: str, info: Any) -> None:
        """httpcore's events, of the one call whose every byte counts."""
        if self._call != "the submit":
            return
        if event.endswith("connect_tcp.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
            self._points.at("the submit: connected")
        elif event.endswith("send_request_headers.complete"):
            self._points.at("the submit: half of it is sent")
        elif event.endswith("send_request_body.complete"):
            # The service has taken it by then, and its answer lies unread in the socket.
            assert self._socket is not None
            assert select.select([self._socket], [], [], _ENOUGH)[0], "the service does not answer"
            self._points.at("the submit: sent, its answer unread")
        elif event.endswith("receive_response_headers.complete"):
            self._points.at("the submit: the head of its answer is read")

    def piece(self, piece: bytes) -> None:
        if self._call == "the download":
            self._points.at("the download: a piece is read")
        else:
            self._body += piece

    def end(self) -> None:
        self._points.at(f"{_outcome(self._call, bytes(self._body))}: its answer is read")


class _Stream(httpx.SyncByteStream):
    def __init__(self, stream: Any, exchange: _Exchange) -> None:
        self._stream = stream
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            self._exchange.piece(piece)
            yield piece
        self._exchange.end()

    def close(self) -> None:
        self._stream.close()


class _AsyncStream(httpx.AsyncByteStream):
    def __init__(self, stream: Any, exchange: _Exchange) -> None:
        self._stream = stream
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._exchange.piece(piece)
            yield piece
        self._exchange.end()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _tap_http(points: Points, patch: pytest.MonkeyPatch) -> None:
    handle = httpx.HTTPTransport.handle_request

    def tapped(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        exchange = _Exchange(points, request)
        watch = request.extensions.get("trace")

        def trace(event: str, info: Any) -> None:
            if watch is not None:
                watch(event, info)
            exchange.trace(event, info)

        request.extensions = {**request.extensions, "trace": trace}
        with points.counting():
            response = handle(self, request)
        response.stream = _Stream(response.stream, exchange)
        return response

    def tap_async(transport: type[httpx.AsyncBaseTransport]) -> None:
        handle_async = transport.handle_async_request

        async def tapped_async(self: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
            exchange = _Exchange(points, request)
            with points.counting():
                response = await handle_async(self, request)
            response.stream = _AsyncStream(response.stream, exchange)
            return response

        patch.setattr(transport, "handle_async_request", tapped_async)

    patch.setattr(httpx.HTTPTransport, "handle_request", tapped)
    tap_async(httpx.AsyncHTTPTransport)
    tap_async(AiohttpTransport)


def _tap_files(points: Points, folder: Path, patch: pytest.MonkeyPatch) -> None:
    opened: dict[int, str] = {}
    originals = {name: getattr(os, name) for name in ("open", "write", "fsync", "close")}

    def what(path: Any) -> str | None:
        """The part that a file plays; None if it is none of the package's."""
        if isinstance(path, int):
            return opened.get(path)
        path = Path(os.fsdecode(path))
        if not path.is_relative_to(folder):
            return None
        of = "record" if path.parent.name == "_segmind" or path.name == "_segmind" else "video"
        if path.name.endswith(".part"):
            return f"the {of}'s temporary file"
        return f"the {of}'s file" if path.suffix in (".json", ".mp4") else f"the {of}'s folder"

    def around(name: str, verb: str, function: Callable[..., Any]) -> None:
        def tapped(path: Any, *args: Any, **kwargs: Any) -> Any:
            part = what(path)
            if part is None:
                return function(path, *args, **kwargs)
            with points.around(f"{part}: {verb}"):
                return function(path, *args, **kwargs)

        patch.setattr(os, name, tapped)

    def open_tapped(path: Any, *args: Any, **kwargs: Any) -> int:
        part = what(path)
        if part is None:
            return originals["open"](path, *args, **kwargs)
        with points.around(f"{part}: open"):
            descriptor = originals["open"](path, *args, **kwargs)
            opened[descriptor] = part
        return descriptor

    def close_tapped(descriptor: int) -> None:
        opened.pop(descriptor, None)
        originals["close"](descriptor)

    def read_tapped(path: Any, *args: Any, **kwargs: Any) -> Any:
        part = None if isinstance(path, int) else what(path)
        if part is None:
            return io_open(path, *args, **kwargs)
        with points.around(f"{part}: read"):
            return io_open(path, *args, **kwargs)

    io_open = io.open
    patch.setattr(os, "open", open_tapped)
    patch.setattr(os, "close", close_tapped)
    patch.setattr(io, "open", read_tapped)
    around("write", "write", originals["write"])
    around("fsync", "sync", originals["fsync"])
    around("mkdir", "make", os.mkdir)
    around("replace", "rename", os.replace)
    around("rename", "lock", os.rename)
    around("link", "link", os.link)
    around("unlink", "remove", os.unlink)


def _tap_store(points: Points, patch: pytest.MonkeyPatch) -> None:
    """Object storage: each call has a step before it is sent, and one after it is answered."""
    call, result = RemotePlace.call, RemotePlace.result

    def what(doing: str, path: str) -> str:
        return f"the store's {'record' if Path(path).parent.name == '_segmind' else 'video'}: {doing}"

    def call_tapped(self: RemotePlace, doing: str, path: str, *args: Any) -> Any:
        points.at(f"{what(doing, path)}, before")
        points.inside += 1
        return call(self, doing, path, *args)

    def result_tapped(self: RemotePlace, doing: str, path: str, *args: Any, **kwargs: Any) -> Any:
        try:
            told = result(self, doing, path, *args, **kwargs)
        finally:
            points.inside -= 1
        points.at(f"{what(doing, path)}, after")
        return told

    patch.setattr(RemotePlace, "call", call_tapped)
    patch.setattr(RemotePlace, "result", result_tapped)


def _tap_clock(points: Points, patch: pytest.MonkeyPatch) -> None:
    def why() -> str:
        # What pauses calls the clock, which calls what asks here.
        return f"a pause of {sys._getframe(3).f_code.co_name}"

    def sleep(seconds: float) -> None:
        with points.around(why()):
            time.sleep(seconds)

    async def asleep(seconds: float) -> None:
        with points.around(why()):
            await asyncio.sleep(seconds)

    clock = airflow_ltx.segmind.clock
    patch.setattr(clock, "time", SimpleNamespace(time=time.time, sleep=sleep))
    patch.setattr(clock, "asyncio", SimpleNamespace(sleep=asleep, wait=asyncio.wait))
