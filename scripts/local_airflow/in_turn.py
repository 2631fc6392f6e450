"""A plugin for the api-server of a local stack: requests that write are answered one after the other.

Airflow 3.3 writes its audit log on the server's event loop. If another request has written by then and not
committed, it holds SQLite's one lock and needs the loop to go on: both wait until the lock's time-out, and
the whole server with them. SQLite has one writer at a time anyway, so that taking turns costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class WritesInTurn:
    """Middleware around the whole server, the workers' API included. Reads pass at any time."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _READS:
            await self._app(scope, receive, send)
            return
        async with self._turn:
            await self._app(scope, receive, send)


class WritesInTurnPlugin(AirflowPlugin):
    """Airflow finds it in the plugins folder."""

    name = "writes_in_turn"
    fastapi_root_middlewares = [{"name": name, "middleware": WritesInTurn}]  # noqa: RUF012 - Airflow's own
