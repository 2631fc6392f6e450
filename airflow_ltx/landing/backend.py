"""What each kind of object storage does in its own way: calls in the event loop of its client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from airflow_ltx.landing.place import Attributes, Found, Replace


class Multipart(Protocol):
    """A file that goes up in parts, none of which is seen before :meth:`complete`."""

    async def send(self, part: bytes) -> None: ...
    async def complete(self) -> None: ...
    async def abort(self) -> None: ...


class Backend(Protocol):
    """One kind of object storage. Names that are not there are None, or raise ``FileNotFoundError``."""

    async def find(self, key: str) -> Found | None: ...
    async def read(self, key: str, start: int | None, end: int | None) -> bytes: ...
    async def put(self, key: str, content: bytes, attributes: Attributes, *, replace: Replace) -> None: ...
    async def begin(
        self, key: str, attributes: Attributes, *, replace: Callable[[], Replace], overwrite: bool
    ) -> Multipart: ...
    async def sweep(self, key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Reached:
    """A storage as a connection reaches it, and the event loop of its client."""

    backend: Backend
    loop: asyncio.AbstractEventLoop
