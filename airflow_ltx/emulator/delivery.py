"""Answers on the wire, with what was scripted for the connection: stalls, resets, cuts, a slow line."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from airflow_ltx.emulator.files import FileStore
from airflow_ltx.emulator.messages import EmulatedResponse

_CHUNK = 64 * 1024
_TICK_SECONDS = 0.05
# Linger on, for no time at all: closing sends RST instead of FIN.
_LINGER_NOT = struct.pack("ii", 1, 0)


class _File(web.FileResponse):
    """Sent by its handler, which holds the file meanwhile; the framework's own turn then finds it sent."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None if self.prepared else await super().prepare(request)


async def deliver(request: web.Request, answer: EmulatedResponse, files: FileStore) -> web.StreamResponse:
    """Send ``answer`` and return what the server framework wants to see returned."""
    if answer.reset:
        return _reset(request)
    if answer.file is None:
        if answer.truncate is None and answer.slow is None:
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        return await _stream(request, answer, answer.body)
    async with files.held(answer.file) as path:
        if answer.truncate is None and answer.slow is None:
            response = _File(path, status=answer.status, headers=answer.headers)
            await response.prepare(request)
            return response
        return await _stream(request, answer, path)


def _reset(request: web.Request) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        transport.abort()
    return web.Response()


async def _stream(request: web.Request, answer: EmulatedResponse, source: bytes | Path) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    length = _length(source)
    response.content_length = length
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    limit = length if answer.truncate is None else min(answer.truncate, length)
    step = _CHUNK if answer.slow is None else max(1, round(answer.slow * _TICK_SECONDS))
    for chunk in _chunks(source, limit, step):
        await response.write(chunk)
        if answer.slow is not None:
            await asyncio.sleep(len(chunk) / answer.slow)
    if limit < length and request.transport is not None:
        # What was written still goes out before the connection ends.
        request.transport.close()
        return response
    await response.write_eof()
    return response


def _length(source: bytes | Path) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def _chunks(source: bytes | Path, limit: int, step: int) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield from (source[start : min(start + step, limit)] for start in range(0, limit, step))
        return
    with source.open("rb") as file:
        while limit > 0 and (chunk := file.read(min(step, limit))):
            limit -= len(chunk)
            yield chunk
