"""The endpoints under ``/_emulator/`` by which a test or a person steers a running emulator."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from airflow_ltx.emulator.clock import AdjustableClock
from airflow_ltx.emulator.core import EmulatorCore
from airflow_ltx.emulator.faults import FaultRule


class Admin:
    """Handlers over one core and its clock. Bad input is a 400 that says what is wrong."""

    def __init__(self, core: EmulatorCore, clock: AdjustableClock) -> None:
        self._core = core
        self._clock = clock

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.get("/_emulator/health", self.health),
            web.get("/_emulator/ledger", self.ledger),
            web.post("/_emulator/faults", self.set_faults),
            web.patch("/_emulator/faults", self.add_faults),
            web.delete("/_emulator/faults", self.clear_faults),
            web.post("/_emulator/settings", self.configure),
            web.post("/_emulator/advance", self.advance),
        ]

    async def health(self, _: web.Request) -> web.Response:
        """Return that the emulator runs, and its time."""
        return web.json_response({"status": "ok", "time": self._clock()})

    async def ledger(self, _: web.Request) -> web.Response:
        """Return the whole ledger."""
        return web.json_response(self._core.ledger.to_json())

    async def set_faults(self, request: web.Request) -> web.Response:
        """Replace the fault script by a list of rules, each a compact string or an object."""
        return await _changed(request, lambda value: self._core.set_faults(_rules(value)), self._faults)

    async def add_faults(self, request: web.Request) -> web.Response:
        """Append a list of rules to the fault script; those already there keep their counts."""
        return await _changed(request, lambda value: self._core.add_faults(_rules(value)), self._faults)

    async def clear_faults(self, _: web.Request) -> web.Response:
        """Remove every rule."""
        self._core.set_faults(())
        return web.json_response(self._faults())

    async def configure(self, request: web.Request) -> web.Response:
        """Change settings by name."""

        def change(value: Any) -> None:
            if not isinstance(value, dict):
                raise ValueError("settings are an object")  # noqa: TRY004
            self._core.configure(value)

        return await _changed(request, change, lambda: {"status": "ok"})

    async def advance(self, request: web.Request) -> web.Response:
        """Move the clock forwards: ``{"seconds": 3600}``."""

        def change(value: Any) -> None:
            seconds = value.get("seconds") if isinstance(value, dict) else None
            if isinstance(seconds, bool) or not isinstance(seconds, int | float):
                raise ValueError('expected {"seconds": <number>}')  # noqa: TRY004
            self._clock.advance(seconds)

        return await _changed(request, change, lambda: {"time": self._clock()})

    def _faults(self) -> dict[str, Any]:
        return {"faults": [rule.to_json() for rule in self._core.faults]}


def _rules(value: Any) -> list[FaultRule]:
    if not isinstance(value, list):
        raise ValueError("faults are a list of rules")  # noqa: TRY004 - becomes a 400 like the rest
    return [FaultRule.from_json(item) for item in value]


async def _changed(
    request: web.Request, change: Callable[[Any], None], outcome: Callable[[], dict[str, Any]]
) -> web.Response:
    try:
        change(json.loads(await request.read()))
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)
    return web.json_response(outcome())
