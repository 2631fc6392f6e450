"""The core on a port: reads requests, carries out answers, and decides nothing."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from aiohttp import web

from airflow_ltx.emulator.admin import Admin
from airflow_ltx.emulator.clock import AdjustableClock
from airflow_ltx.emulator.core import EmulatorCore
from airflow_ltx.emulator.delivery import deliver
from airflow_ltx.emulator.files import FileStore
from airflow_ltx.emulator.ledger import Ledger
from airflow_ltx.emulator.messages import EmulatedRequest, EmulatedResponse, error_response
from airflow_ltx.emulator.resolution import VideoPlan
from airflow_ltx.emulator.settings import Settings

_BACKLOG = 4096
_BODY_LIMIT = 256 * 1024 * 1024
_GRACE_SECONDS = 0.2


class EmulatorServer:
    """One emulator on one port. Use it within one event loop.

    :param port: 0 takes a free one; :attr:`base_url` tells it.
    """

    def __init__(self, settings: Settings, host: str = "127.0.0.1", port: int = 0) -> None:
        self.clock = AdjustableClock()
        self.core = EmulatorCore(settings, self.clock)
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self._files: FileStore | None = None

    @property
    def ledger(self) -> Ledger:
        return self.core.ledger

    @property
    def port(self) -> int:
        return self._port

    @property
    def base_url(self) -> str:
        """The address for a client on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 - not bound here
        return f"http://{f'[{host}]' if _is_ipv6(host) else host}:{self._port}"

    async def start(self) -> None:
        """Listen. ``OSError`` if the address cannot be had; nothing is left open then."""
        listener = _listen(self._host, self._port)
        self._port = listener.getsockname()[1]
        self._files = FileStore(self._rendered, lambda plan: self.core.completed_at(plan.request_id))
        app = web.Application(client_max_size=_BODY_LIMIT)
        app.add_routes(Admin(self.core, self.clock).routes())
        app.router.add_route("*", "/{path:.*}", self._serve)
        # A caller that hangs up during a stall before the effect must not be served after all.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE_SECONDS
        )
        await self._runner.setup()
        await web.SockSite(self._runner, listener, backlog=_BACKLOG).start()

    async def stop(self) -> None:
        """Close the port and every connection, end the renderers and remove their files."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._files is not None:
            await self._files.close()
            self._files = None

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        files = self._files
        if files is None:
            raise web.HTTPServiceUnavailable
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return await deliver(request, error_response(413, "Request body is too large"), files)
        incoming = EmulatedRequest(
            method=request.method,
            path=request.path,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
            base_url=f"{request.scheme}://{request.host}",
            query=request.query,
        )
        answer = self.core.handle(incoming)
        answer = await self._held_back(incoming, answer)
        if answer.render is not None:
            files.prepare(answer.render)
        if answer.ready_at is not None:
            await self.clock.wait_until(answer.ready_at)
        return await deliver(request, answer, files)

    async def _held_back(self, incoming: EmulatedRequest, answer: EmulatedResponse) -> EmulatedResponse:
        if answer.stall:
            await asyncio.sleep(answer.stall)
        if answer.unhandled:
            return await self._held_back(incoming, self.core.resume(incoming))
        return answer

    def _rendered(self, plan: VideoPlan, size: int) -> None:
        self.core.note_size(plan.file_name, size)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if _is_ipv6(host) else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
