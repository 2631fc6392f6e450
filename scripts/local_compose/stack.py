"""The services of a compose file as processes, in its order and by its health checks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Self

from local_airflow.environment import child_environment
from local_airflow.errors import StackError, tail
from local_airflow.log_server import EmptyLogServer
from local_airflow.owned import OwnedProcesses
from local_airflow.ports import ReservedPort
from local_compose import images
from local_compose.file import Service, read_services
from local_compose.order import State, layers, one_offs, startable, unsettled
from local_compose.places import Places
from local_compose.postgres import Postgres

_HEALTH_LIMIT = 10.0
# Each look is a process of its own, and whatever boots meanwhile wants the same cores.
_HEALTH_INTERVAL = 1.0


class LocalCompose:
    """Each service's own command, environment and health check, with addresses and folders of this machine.

    Ports are free ones of loopback. A folder of the checkout that is mounted for reading is the checkout's;
    all others, and named volumes, are below a temporary home. Variables of the file have their defaults,
    whatever the caller's environment holds. The processes end with this object's owner, even if that is
    killed.
    """

    def __init__(self, file: Path, *, boot_timeout: float = 180.0) -> None:
        self._checkout = file.resolve().parent
        self._boot_timeout = boot_timeout
        self.services = read_services(file, {})
        self._layers = layers(self.services)
        self._one_offs = one_offs(self.services)
        self._states = dict.fromkeys(self.services, State.WAITING)
        self._looked_at: dict[str, float] = {}
        self.home = Path(tempfile.mkdtemp(prefix="local-compose-")).resolve()
        self.home.chmod(0o711)
        self._processes = OwnedProcesses()
        self._log_server = EmptyLogServer()
        self._reserved = {
            (name, port): ReservedPort() for name, service in self.services.items() for port in service.ports
        }
        # By service and by port in the container.
        self.ports = {key: port.number for key, port in self._reserved.items()}
        self._places = {name: self._placed(service) for name, service in self.services.items()}

    @cached_property
    def _postgres(self) -> Postgres:
        return Postgres(self._directory("postgres-image"))

    def _directory(self, *parts: str) -> Path:
        path = self.home
        for part in parts:
            path /= part
            if not path.exists():
                path.mkdir()
                # Whatever the umask: Postgres may be somebody else's process.
                path.chmod(0o755)
        return path

    def _placed(self, service: Service) -> Places:
        folders = {
            mount.target: self.folder(mount.source, read_only=mount.read_only) for mount in service.mounts
        }
        if images.is_airflow(service):
            home = self._own(service)
            for target, folder in folders.items():
                # Airflow finds these by their place in its home, which no variable names.
                (home / PurePosixPath(target).relative_to(images.AIRFLOW_HOME)).symlink_to(folder)
            folders[images.AIRFLOW_HOME] = home
        return Places(service.name, self.ports, folders)

    def _own(self, service: Service) -> Path:
        """What stands for the container's file system."""
        return self._directory("containers", service.name)

    def folder(self, source: str, *, read_only: bool = False) -> Path:
        """Where a folder or volume, named as in the file, is on this machine."""
        if source.startswith("."):
            return self._checkout / source if read_only else self._directory("folders", Path(source).name)
        return self._directory("volumes", source)

    def url(self, name: str, port: int) -> str:
        """The address of a service by its port in the container."""
        return f"http://127.0.0.1:{self.ports[name, port]}"

    def environment(self, name: str) -> dict[str, str]:
        """A service's variables as the file gives them, translated."""
        places = self._places[name]
        return {key: places.translate(value) for key, value in self.services[name].environment.items()}

    def log(self, name: str) -> Path:
        return self._directory("logs") / f"{name}.log"

    def pids(self) -> list[int]:
        return self._processes.pids()

    def up(self) -> Self:
        """Start everything and wait until all is healthy; a failure leaves nothing running."""
        try:
            self._log_server.start()
            self._settle(list(self.services))
        except BaseException:
            self._end(grace=0.5)
            raise
        return self

    def start(self, name: str) -> None:
        """Start one service that was stopped, and wait until it is healthy."""
        self._settle([name])

    def _settle(self, names: Iterable[str]) -> None:
        wanted = list(names)
        deadline = time.monotonic() + self._boot_timeout
        while left := unsettled(self.services, self._states, wanted):
            for name in startable(self.services, self._states):
                if name in wanted:
                    self._spawn(self.services[name])
                    self._states[name] = State.STARTED
            self._look(left)
            if time.monotonic() >= deadline:
                running = next((name for name in left if self._states[name] is not State.WAITING), left[0])
                raise StackError(
                    f"Not up after {self._boot_timeout:.0f} s: {', '.join(left)}.\n{tail(self.log(running))}",
                    log=self.log(running),
                )
            time.sleep(0.1)

    def _look(self, names: Iterable[str]) -> None:
        self.check()
        for name in names:
            if self._states[name] is not State.STARTED:
                continue
            if name in self._one_offs:
                if self._processes.exit_code(name) == 0:
                    self._states[name] = State.COMPLETED
            elif self._is_due(name) and self.healthy(name):
                self._states[name] = State.HEALTHY

    def _is_due(self, name: str) -> bool:
        now = time.monotonic()
        due = now - self._looked_at.get(name, 0.0) >= _HEALTH_INTERVAL
        if due:
            self._looked_at[name] = now
        return due

    def check(self) -> None:
        """Raise if a service failed, or ended that should stay up."""
        for name, state in self._states.items():
            if state in (State.WAITING, State.COMPLETED):
                continue
            code = self._processes.exit_code(name)
            if code or (code == 0 and name not in self._one_offs):
                log = self.log(name)
                raise StackError(f"{name} ended with code {code}. Its last lines:\n{tail(log)}", log=log)

    def healthy(self, name: str) -> bool:
        """What the service's own health check says now; also for one that does not run."""
        service = self.services[name]
        if service.test is None:
            raise StackError(f"{name} has no health check.")
        try:
            done = subprocess.run(
                [self._places[name].translate(word) for word in service.test],
                env=self._variables(service),
                cwd=self._own(service),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_HEALTH_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def _variables(self, service: Service) -> dict[str, str]:
        # Programs by name are those of the environment that runs this, as they are an image's in a container.
        path = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        if images.is_postgres(service):
            path.insert(0, str(self._postgres.programs))
        extra = {
            "PATH": os.pathsep.join(path),
            "TMPDIR": str(self._directory("tmp")),
            **self.environment(service.name),
        }
        if images.is_airflow(service):
            extra.update(images.airflow_deviations(self._own(service), self._log_server.port))
        return child_environment(os.environ, home=self._own(service), extra=extra)

    def _spawn(self, service: Service) -> None:
        command = [self._places[service.name].translate(word) for word in service.arguments]
        log = self.log(service.name)
        if images.is_postgres(service):
            (port,) = service.ports
            data = Path(self._places[service.name].translate(images.postgres_data(service)))
            self._postgres.prepare(data, service.environment, log=log)
            command = self._postgres.server(data, self.ports[service.name, port], command)
        self._processes.spawn(
            service.name,
            images.without_log_server(command),
            env=self._variables(service),
            cwd=self._own(service),
            log=log,
        )

    def stop(self, name: str) -> None:
        """End one service and everything below it."""
        self._states[name] = State.WAITING
        self._processes.stop([name], grace=2.0)

    def down(self) -> None:
        """End everything; raises if anything survives. The home stays: see `remove`."""
        self._end(grace=2.0)

    def _end(self, grace: float) -> None:
        self._states = dict.fromkeys(self.services, State.WAITING)
        try:
            # Those that need the others go first, or would complain that they are gone.
            for layer in reversed(self._layers):
                self._processes.stop(layer, grace=grace)
        finally:
            self._processes.stop(grace=0.3)
            self._log_server.stop()
            for port in self._reserved.values():
                port.release()

    def remove(self) -> None:
        """Delete all that the services wrote."""
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(self, *exception: object) -> None:
        self.down()
