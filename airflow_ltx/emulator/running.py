"""An emulator in a thread of its own, for code that is not asynchronous: tests, demos, notebooks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_ltx.emulator.core import EmulatorCore
from airflow_ltx.emulator.faults import FaultRule
from airflow_ltx.emulator.ledger import Ledger
from airflow_ltx.emulator.settings import Settings

if TYPE_CHECKING:
    from airflow_ltx.emulator.server import EmulatorServer

T = TypeVar("T")


class RunningEmulator:
    """Handle of a running emulator. What changes it is done in the server's loop and waited for."""

    def __init__(self, server: EmulatorServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop

    @property
    def base_url(self) -> str:
        return self._server.base_url

    @property
    def core(self) -> EmulatorCore:
        return self._server.core

    @property
    def ledger(self) -> Ledger:
        return self._server.core.ledger

    def advance(self, seconds: float) -> None:
        """Move the emulator's clock forwards."""
        self._call(lambda: self._server.clock.advance(seconds))

    def configure(self, **changes: Any) -> None:
        """Change settings by name; ``ValueError`` names what cannot be changed."""
        self._call(lambda: self.core.configure(changes))

    def set_faults(self, *rules: FaultRule | str) -> None:
        """Replace the fault script; strings are in compact form."""
        parsed = _parsed(rules)
        self._call(lambda: self.core.set_faults(parsed))

    def add_faults(self, *rules: FaultRule | str) -> None:
        """Append to the fault script; rules already there keep their counts."""
        parsed = _parsed(rules)
        self._call(lambda: self.core.add_faults(parsed))

    def _call(self, action: Callable[[], T]) -> T:
        async def run() -> T:
            return action()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()


@contextmanager
def running_emulator(
    settings: Settings | None = None, host: str = "127.0.0.1", port: int = 0
) -> Iterator[RunningEmulator]:
    """Serve while the context lasts; afterwards the port, the threads and the files are gone.

    ``OSError`` if the address cannot be had, ``ModuleNotFoundError`` without the packages of the extra
    ``emulator``.
    """
    from airflow_ltx.emulator.server import EmulatorServer

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="segmind-emulator", daemon=True)
    thread.start()
    try:
        server = EmulatorServer(settings or Settings(), host, port)
        try:
            asyncio.run_coroutine_threadsafe(server.start(), loop).result()
            yield RunningEmulator(server, loop)
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
            asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _parsed(rules: tuple[FaultRule | str, ...]) -> list[FaultRule]:
    return [FaultRule.from_compact(rule) if isinstance(rule, str) else rule for rule in rules]
