"""A scripted service that answers a run with the file itself, whole or in pieces."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_ltx.segmind.models import SyncResult
from tests.unit.segmind.support import KINDS, REQUEST_ID, run

MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00" + bytes(range(256)) * 400
BASE64 = base64.b64encode(MP4).decode()
HEADERS = {
    "content-type": "video/mp4",
    "x-request-id": REQUEST_ID,
    "x-cost": "0.0575",
    "x-remaining-credits": "12.3",
    "x-generation-time": "54.9",
    "x-seed-value": "7",
}
everywhere = pytest.mark.parametrize("kind", KINDS)


def made(content: bytes = MP4, **headers: str) -> httpx.Response:
    given_headers = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx.Response(200, headers=given_headers, content=content)


def told(body: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(
        status, json=body, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )


def buy(kind: str, handler: Any, target: Path, **options: Any) -> SyncResult:
    result: SyncResult = run(
        kind, handler, lambda c: c.run_sync("veo-3.1", {"prompt": "p"}, target, **options)
    )
    return result


def everything(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in pieces; an exception among them is raised in its turn."""

    def __init__(self, *pieces: bytes | BaseException) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def in_pieces(*pieces: bytes | BaseException, **headers: str) -> Any:
    """A service whose answer comes in pieces."""
    shown = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return lambda request: httpx.Response(200, headers=shown, stream=Pieces(*pieces))
