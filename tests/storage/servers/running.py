"""A server of processes of its own, from a folder that is gone afterwards."""

from __future__ import annotations

import json
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import httpx

from local_airflow.environment import child_environment
from local_airflow.errors import StackError, tail
from local_airflow.owned import OwnedProcesses
from local_airflow.ports import ReservedPort
from servers.objects import Objects


class StorageServer(ABC):
    """Starts on a free port and answers once it is entered.

    Its processes have sessions of their own and end with the one that started them, however that ends.
    """

    name: ClassVar[str]
    scheme: ClassVar[str]
    environment: ClassVar[Mapping[str, str]] = {}
    """What the client's process needs beside the connection."""
    boot_timeout: ClassVar[float] = 60.0
    grace: ClassVar[float] = 10.0
    """How long it may take to end by itself. Nothing that it would save is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = ReservedPort()
        self._processes = OwnedProcesses()

    @classmethod
    @abstractmethod
    def missing(cls) -> str | None:
        """Why it cannot be started here, and how to get what it needs; None if it can."""

    @abstractmethod
    def _launch(self) -> None:
        """Start everything and return when requests are answered."""

    @property
    @abstractmethod
    def connection(self) -> str:
        """The value of AIRFLOW_CONN_<ID>."""

    @property
    def denied_connection(self) -> str | None:
        """One that may do nothing in a bucket of ``connection``; None where nothing is ever denied."""
        return None

    @property
    def wrong_secret_connection(self) -> str | None:
        """One whose secret is wrong; None where the server does not look."""
        return None

    @abstractmethod
    def objects_of(self, connection: str) -> Objects:
        """What the backend's own client sees with the key of a connection."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port.number}"

    def pids(self) -> list[int]:
        return self._processes.pids()

    def start(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._launch()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        self._processes.stop(grace=self.grace)
        self.port.release()
        shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _child_environment(self, **extra: str) -> dict[str, str]:
        return child_environment(os.environ, home=self.folder, extra=extra)

    def _spawn(self, name: str, command: Sequence[str], **environment: str) -> None:
        self._processes.spawn(
            name,
            command,
            env=self._child_environment(**environment),
            cwd=self.folder,
            log=self.folder / f"{name}.log",
        )

    def _wait_until(self, ready: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + self.boot_timeout
        while not ready():
            for name in self._processes.names:
                code = self._processes.exit_code(name)
                if code is not None:
                    raise StackError(f"{name} ended with code {code}:\n{tail(self._processes.log(name))}")
            if time.monotonic() >= deadline:
                logs = "\n".join(tail(self._processes.log(name)) for name in self._processes.names)
                raise StackError(f"{self.name}: not within {self.boot_timeout:.0f} s: {what}\n{logs}")
            time.sleep(0.02)

    def _wait_until_it_answers(self, path: str = "/") -> None:
        def answers() -> bool:
            try:
                httpx.get(self.url + path, trust_env=False, timeout=5)
            except httpx.TransportError:
                return False
            return True

        self._wait_until(answers, "an answer over HTTP")


def connection(conn_type: str, extra: Mapping[str, Any], **fields: str) -> str:
    """An Airflow connection as the value of its environment variable."""
    return json.dumps({"conn_type": conn_type, **fields, "extra": extra})
