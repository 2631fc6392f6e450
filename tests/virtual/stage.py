"""Where worlds are played: the network, the clock and the logs of this process are those of one of them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest
import structlog

from airflow_ltx.hooks import _clients
from airflow_ltx.segmind import clock as package_clock
from airflow_ltx.segmind import stopping as package_stopping
from airflow_ltx.segmind import watchdog as package_watchdog
from segmind_service import connection
from tests.virtual.service import BASE_URL, KEY, in_place_of_the_network
from tests.virtual.world import World

# Imported by the code under test when it needs them; the first example should not be the slow one.
_LATE = (
    "airflow_ltx.triggers.deferral",
    "airflow_ltx.landing.land",
    "airflow_ltx.segmind.async_client",
    "airflow_ltx.segmind.client",
)


@dataclass
class Stage:
    """One world after the other, on one event loop: clients are shared per loop, and costly to make."""

    loop: asyncio.AbstractEventLoop
    world: World | None = None

    @property
    def current(self) -> World:
        """The world that is played."""
        assert self.world is not None
        return self.world


@contextmanager
def virtual_stage() -> Iterator[Stage]:
    """A stage, for as long as the block lasts."""
    for name in _LATE:
        import_module(name)
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patch:
        stage = Stage(runner.get_loop())
        patch.setattr(package_clock, "time", _Present(lambda: stage.current.clock.blocking))
        patch.setattr(package_clock, "asyncio", _Present(lambda: stage.current.clock.cooperative))
        patch.setattr(package_stopping, "_sleep", _sleep)
        patch.setattr(package_watchdog, "threading", _Unwatched)
        patch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection(BASE_URL, KEY))
        with in_place_of_the_network(lambda: stage.current.service), _logs(lambda: stage.current.told):
            yield stage


def forget_accounts() -> None:
    """What one world's refusals and requests have taught is not known in another, which begins earlier."""
    for account in _clients._accounts.values():
        account.__init__()  # type: ignore[misc]


def quick_disk() -> str | None:
    """A folder in memory, if there is one: files are synced to their disk, which costs nothing there."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def _sleep(stop: threading.Event, seconds: float) -> None:
    package_stopping.check_wanted(stop)
    package_clock.pause(seconds)
    package_stopping.check_wanted(stop)


class _Present:
    """Stands for whatever ``get`` gives at the time."""

    def __init__(self, get: Callable[[], Any]) -> None:
        self._get = get

    def __getattr__(self, name: str) -> Any:
        return getattr(self._get(), name)


class _Idle:
    """A timer or a thread that never does anything."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def start(self) -> None:
        pass

    def cancel(self) -> None:
        pass


class _Unwatched:
    """For the watchdog's module ``threading``: its timers run in real time, in which nothing lasts here."""

    Lock = threading.Lock
    Event = threading.Event
    Timer = Thread = _Idle


@contextmanager
def _logs(lines: Callable[[], list[str]]) -> Iterator[None]:
    def keep(logger: Any, method: str, event: dict[str, Any]) -> Any:
        arguments = event.get("positional_args", ())
        lines().append(event["event"] % tuple(arguments) if arguments else event["event"])
        raise structlog.DropEvent

    # In place, since loggers that exist hold on to the list.
    processors = structlog.get_config()["processors"]
    before = list(processors)
    processors[:] = [keep]
    try:
        yield
    finally:
        processors[:] = before
