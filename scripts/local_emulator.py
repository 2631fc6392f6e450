"""The local Segmind as a process of its own, for the demo, `make up` and the system tests."""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local_airflow.environment import child_environment
from local_airflow.errors import StackError, tail
from local_airflow.owned import OwnedProcesses

_NAME = "emulator"


class LocalEmulator:
    """`python -m airflow_ltx.emulator` on a free port of loopback, gone when its owner is."""

    def __init__(
        self,
        *,
        queue_seconds: float,
        inference_seconds: float,
        home: Path | None = None,
        arguments: Sequence[str] = (),
        boot_timeout: float = 60.0,
    ) -> None:
        self.key = f"local-{secrets.token_hex(12)}"
        self.base_url = ""
        self._own_home = tempfile.TemporaryDirectory(prefix="local-segmind-") if home is None else None
        self.home = home or Path(self._own_home.name if self._own_home else "")
        self._ready = self.home / "emulator.json"
        self._boot_timeout = boot_timeout
        self._command = [
            sys.executable,
            "-m",
            "airflow_ltx.emulator",
            "--port=0",
            f"--ready-file={self._ready}",
            f"--ledger={self.home / 'ledger.json'}",
            f"--api-key={self.key}",
            f"--queue-seconds={queue_seconds}",
            f"--inference-seconds={inference_seconds}",
            *arguments,
        ]
        self._processes = OwnedProcesses()

    @property
    def log(self) -> Path:
        return self.home / "emulator.log"

    def start(self) -> Self:
        """Start it and wait until it says where it listens; on failure nothing is left running."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self._ready.unlink(missing_ok=True)
        environment = child_environment(os.environ, home=self.home, extra={})
        self._processes.spawn(_NAME, self._command, env=environment, cwd=self.home, log=self.log)
        deadline = time.monotonic() + self._boot_timeout
        while not self._ready.exists():
            self.check()
            if time.monotonic() >= deadline:
                raise StackError(
                    f"The emulator did not say where it listens within {self._boot_timeout:.0f} s:\n"
                    f"{tail(self.log)}",
                    log=self.log,
                )
            time.sleep(0.05)
        self.base_url = str(json.loads(self._ready.read_text())["base_url"])

    def check(self) -> None:
        """Raise if it ended."""
        code = self._processes.exit_code(_NAME)
        if code is not None:
            raise StackError(f"The emulator ended with code {code}:\n{tail(self.log)}", log=self.log)

    def pids(self) -> list[int]:
        return self._processes.pids()

    def ledger(self) -> dict[str, Any]:
        """What was submitted, and what it would have cost."""
        answer = self._admin("ledger")
        if not isinstance(answer, dict):
            raise StackError(f"The emulator's ledger is not an object: {answer!r}", log=self.log)
        return answer

    def _admin(self, what: str, body: Any = None, method: str | None = None) -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.base_url}/_emulator/{what}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
            method=method,
        )
        try:
            with opener.open(request, timeout=30) as response:
                return json.loads(response.read())
        except (OSError, ValueError) as error:
            raise StackError(f"The emulator does not answer ({what}): {error}", log=self.log) from error

    def configure(self, **changes: Any) -> None:
        """Change its settings while it runs."""
        self._admin("settings", changes)

    def advance(self, seconds: float) -> None:
        """Move its clock forwards."""
        self._admin("advance", {"seconds": seconds})

    def set_faults(self, *rules: str) -> None:
        """Replace the script of faults; rules in their compact form."""
        self._admin("faults", list(rules))

    def add_faults(self, *rules: str) -> None:
        """Append to the script; rules already there keep their counts."""
        self._admin("faults", list(rules), method="PATCH")

    def stop(self) -> None:
        self._processes.stop(grace=3.0)

    def remove(self) -> None:
        """Delete the temporary home; a home that was given is its giver's."""
        if self._own_home is not None:
            self._own_home.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self.remove()
