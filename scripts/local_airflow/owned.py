"""Long-running processes that end when their owner does, however it ends."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from local_airflow.errors import StackError
from local_airflow.guard import FAREWELL
from local_airflow.process_table import MARK, living, send

_SCRIPTS = Path(__file__).resolve().parent.parent


class OwnedProcesses:
    """Named processes, each in a session of its own with its output in a file."""

    def __init__(self) -> None:
        self.owner = secrets.token_hex(8)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: dict[str, Path] = {}
        self._guard: subprocess.Popen[bytes] | None = None

    def spawn(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path
    ) -> None:
        """Start `command` under `name`; its output is appended to `log`."""
        if name in self._running and self._running[name].poll() is None:
            raise StackError(f"{name} is running already (pid {self._running[name].pid}): stop it first.")
        # First the guard: there must be no moment in which a process has nobody to end it.
        self._ensure_guard()
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._running[name] = subprocess.Popen(
                command,
                env={**env, MARK: f"{self.owner}:{name}"},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._logs[name] = log

    def _ensure_guard(self) -> None:
        if self._guard is not None and self._guard.poll() is None:
            return
        environment = {name: value for name, value in os.environ.items() if name != MARK}
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "local_airflow.guard", self.owner],
            env={**environment, "PYTHONPATH": str(_SCRIPTS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def names(self) -> list[str]:
        return list(self._running)

    def log(self, name: str) -> Path:
        return self._logs[name]

    def exit_code(self, name: str) -> int | None:
        """None while it runs; minus the signal's number when a signal ended it."""
        return self._running[name].poll()

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def pids(self, name: str | None = None) -> list[int]:
        """The process and everything below it that lives; without a name, all processes."""
        return living(self.owner, name)

    def signal(self, name: str, number: signal.Signals, *, tree: bool) -> None:
        if tree:
            send(self.pids(name), number)
        elif self._running[name].poll() is None:
            self._running[name].send_signal(number)

    def wait(self, names: Iterable[str], timeout: float) -> bool:
        """Whether all of them ended in time."""
        deadline = time.monotonic() + timeout
        waiting = [self._running[name] for name in names]
        while any(process.poll() is None for process in waiting):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        return True

    def stop(self, names: Iterable[str] | None = None, *, grace: float) -> None:
        """SIGTERM, wait, SIGKILL for the rest, then make sure that nothing is left."""
        chosen = self.names if names is None else [name for name in names if name in self._running]
        for name in chosen:
            self.signal(name, signal.SIGTERM, tree=False)
        self.wait(chosen, grace)
        left = self._kill_rest(chosen)
        for name in chosen:
            with suppress(subprocess.TimeoutExpired):
                self._running[name].wait(timeout=5)
        if left:
            raise StackError(f"These processes could not be ended: {', '.join(map(str, left))}.")
        for name in chosen:
            del self._running[name]
        if not self._running:
            self._dismiss_guard()

    def _kill_rest(self, names: Sequence[str], timeout: float = 10.0) -> list[int]:
        deadline = time.monotonic() + timeout
        while True:
            # All at once when all are meant: also finds what lost the name of its component.
            scope: list[str | None] = [None] if set(names) == set(self._running) else [*names]
            left = [pid for name in scope for pid in living(self.owner, name)]
            if not left or time.monotonic() >= deadline:
                return left
            send(left, signal.SIGKILL)
            for process in self._running.values():
                process.poll()
            time.sleep(0.05)

    def _dismiss_guard(self) -> None:
        guard, self._guard = self._guard, None
        if guard is None or guard.stdin is None:
            return
        with suppress(OSError):
            guard.stdin.write(FAREWELL)
            guard.stdin.close()
        guard.wait(timeout=10)
