"""A real Airflow: api-server, scheduler with LocalExecutor, dag-processor, triggerer, a process each."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from local_airflow.api import AirflowApi
from local_airflow.configuration import QUICK, Layout, Secrets, Settings, base_settings, merge, render
from local_airflow.environment import child_environment
from local_airflow.errors import StackError, tail
from local_airflow.health import (
    API_SERVER,
    COMPONENTS,
    DAG_PROCESSOR,
    SCHEDULER,
    TRIGGERER,
    describe_wait,
    missing,
)
from local_airflow.log_server import EmptyLogServer
from local_airflow.owned import OwnedProcesses
from local_airflow.ports import ReservedPort
from local_airflow.schema import place_schema

USERNAME = "admin"

_ARGUMENTS = {
    API_SERVER: ["api-server"],
    # Their log servers would listen on every interface; `EmptyLogServer` stands in.
    SCHEDULER: ["scheduler", "--skip-serve-logs"],
    DAG_PROCESSOR: ["dag-processor"],
    TRIGGERER: ["triggerer", "--skip-serve-logs"],
}

_PLUGIN = Path(__file__).with_name("in_turn.py")
_LOOPBACK_HOST = 'def name() -> str:\n    return "127.0.0.1"\n'


class LocalAirflow:
    """One Airflow with a home, keys, ports and processes of its own; any number of them run side by side.

    `dags` are DAG folders; `wait_for` names the DAGs that must be parsed before `start` returns; `settings`
    change airflow.cfg by section and option, on top of the quick ones unless `quick` is off. `env` reaches
    every process: connections as AIRFLOW_CONN_..., variables as AIRFLOW_VAR_....
    `on_progress` hears several times a second what a boot is waiting for.

    The processes end with this object's owner even if that is killed (see `guard`). As a context manager it
    removes its temporary home, except after an exception: the logs are there.
    """

    def __init__(
        self,
        dags: Path | Sequence[Path],
        *,
        env: Mapping[str, str] | None = None,
        settings: Settings | None = None,
        quick: bool = True,
        parallelism: int = 4,
        wait_for: Sequence[str] = (),
        tolerate_import_errors: bool = False,
        home: Path | None = None,
        boot_timeout: float = 180.0,
        stop_grace: float = 5.0,
        on_progress: Callable[[str], None] | None = None,
    ) -> None:
        self._folders = [Path(folder).resolve() for folder in ([dags] if isinstance(dags, Path) else dags)]
        self._extra_env = dict(env or {})
        self._settings = merge(QUICK if quick else {}, settings or {})
        self._parallelism = parallelism
        self._wait_for = list(wait_for)
        self._tolerate_import_errors = tolerate_import_errors
        self._own_home = home is None
        self._boot_timeout = boot_timeout
        self._stop_grace = stop_grace
        self._tell = on_progress or (lambda text: None)
        # Symbolic links resolved: paths in logs and in airflow.cfg are then the ones Airflow reports.
        self.home = (home or Path(tempfile.mkdtemp(prefix="local-airflow-"))).resolve()
        self._layout = Layout(self.home)
        self._processes = OwnedProcesses()
        self._port = ReservedPort()
        self._log_server = EmptyLogServer()
        self._started: dict[str, float] = {}
        self._expected: set[str] = set()
        self.username = USERNAME
        self.password = secrets.token_urlsafe(12)
        self.port = self._port.number
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.env = child_environment(os.environ, home=self.home, extra=self._extra_env)
        self.api = AirflowApi(self.base_url, self.username, self.password)
        self.api.watch = self.check

    @property
    def mark(self) -> str:
        """Names this stack's processes in the process table, also to others (see `process_table`)."""
        return self._processes.owner

    @property
    def logs(self) -> Path:
        """<component>.log of every process, and Airflow's own tree of task logs."""
        return self._layout.logs

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"

    def start(self) -> Self:
        """Boot until all is healthy and the wanted DAGs are parsed; a failure leaves nothing running."""
        try:
            self.prepare()
            self._log_server.start()
            for component in COMPONENTS:
                self._spawn(component)
            self._wait(COMPONENTS, self._wait_for)
        except BaseException:
            # Half-booted processes have nothing to put in order, and some do not listen yet.
            self._stop(grace=0.5)
            raise
        return self

    def prepare(self) -> None:
        """Make the home: configuration and database. `start` does; for who starts single components."""
        for folder in self._folders:
            if not folder.is_dir():
                raise StackError(f"The DAG folder {folder} does not exist.")
        self.home.mkdir(parents=True, exist_ok=True)
        self._layout.modules.mkdir(exist_ok=True)
        (self._layout.modules / "loopback_host.py").write_text(_LOOPBACK_HOST)
        self._layout.plugins.mkdir(exist_ok=True)
        shutil.copy(_PLUGIN, self._layout.plugins)
        base = base_settings(
            self._layout,
            self._folders,
            port=self.port,
            log_port=self._log_server.port,
            username=self.username,
            secrets=Secrets(
                fernet=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                jwt=secrets.token_urlsafe(64),
                session=secrets.token_urlsafe(32),
            ),
            parallelism=self._parallelism,
        )
        self._write_private(self._layout.config, render(merge(base, self._settings)))
        self._write_private(self._layout.passwords, json.dumps({self.username: self.password}))
        if not self._layout.database.exists():
            self._tell("preparing the database")
            place_schema(
                self._layout.database, env=self.env, log=self.logs / "db-migrate.log", python=sys.executable
            )

    @staticmethod
    def _write_private(path: Path, text: str) -> None:
        path.touch(mode=0o600)
        path.write_text(text)

    def _spawn(self, component: str, name: str | None = None) -> None:
        command = [sys.executable, "-m", "airflow", *_ARGUMENTS[component]]
        name = name or component
        self._started[name] = time.time()
        self._processes.spawn(name, command, env=self.env, cwd=self.home, log=self.log(name))
        self._expected.add(name)

    def _wait(self, components: Sequence[str], dags: Sequence[str]) -> None:
        deadline = time.monotonic() + self._boot_timeout
        wanted = {component: self._started[component] for component in components}
        unparsed = list(dags)
        unbuilt = API_SERVER in components
        while True:
            self.check()
            health = self.api.health()
            absent = missing(health, wanted)
            if health is not None:
                unbuilt = unbuilt and not self.api.serves_workers()
                absent += [API_SERVER] * unbuilt
                self._refuse_import_errors()
                unparsed = [dag_id for dag_id in unparsed if not self.api.dag_is_parsed(dag_id)]
            state = describe_wait(absent, unparsed)
            self._tell(state)
            if not absent and not unparsed:
                return
            if time.monotonic() >= deadline:
                log = self.log(absent[0] if absent else DAG_PROCESSOR)
                raise StackError(
                    f"Airflow is not ready after {self._boot_timeout:.0f} s, still {state}.\n{tail(log)}",
                    log=log,
                )
            time.sleep(0.2)

    def wait_for_dags(self, *dag_ids: str) -> None:
        """Until these are parsed and can run; an import error ends the wait at once."""
        self._wait([], dag_ids)

    def _refuse_import_errors(self) -> None:
        if self._tolerate_import_errors:
            return
        if failures := self.api.import_errors():
            texts = "\n\n".join(f"{failure.filename}:\n{failure.text.rstrip()}" for failure in failures)
            raise StackError(
                f"Airflow could not import these DAG files:\n{texts}", log=self.log(DAG_PROCESSOR)
            )

    def check(self) -> None:
        """Raise if a process ended that nobody told to."""
        for component in sorted(self._expected):
            code = self._processes.exit_code(component)
            if code is not None:
                how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
                log = self.log(component)
                raise StackError(f"Airflow's {component} ended {how}. Its last lines:\n{tail(log)}", log=log)

    def pids(self, component: str | None = None) -> list[int]:
        """A component's process and all below it (workers, tasks, runner); without a name, everybody."""
        return self._processes.pids(component)

    def main_pid(self, component: str) -> int:
        return self._processes.pid(component)

    def kill(self, component: str, number: signal.Signals = signal.SIGKILL, *, tree: bool = False) -> None:
        """Signal a component, with `tree` all its descendants too, and expect it to be gone from now on.

        Without `tree` a killed scheduler's workers finish what they run, as on a machine out of memory.
        """
        self._expected.discard(component)
        self._processes.signal(component, number, tree=tree)
        if number == signal.SIGKILL:
            # Gone at once, but not before its parent has taken note.
            self._processes.wait([component], 10)

    def start_component(self, component: str, *, wait: bool = True) -> None:
        """Start a component that was stopped or killed; `wait` for its own first sign of life."""
        self._spawn(component)
        if wait:
            self._wait([component], [])

    def start_another(self, component: str, name: str) -> None:
        """Start one more process of a kind, as on a second machine. It goes by `name` and is not waited for:
        Airflow's health report does not tell two of a kind apart (`api.living_jobs` does)."""
        self._spawn(component, name)

    def stop_component(self, component: str) -> None:
        """End a component and everything below it."""
        self._expected.discard(component)
        self._processes.stop([component], grace=self._stop_grace)

    def revive(self, component: str) -> None:
        """Start a component anew that was killed, halted or stopped; one that nobody touched is left be."""
        if component not in self._expected:
            self.restart(component)

    def restart(self, component: str, *, wait: bool = True) -> None:
        self.stop_component(component)
        self.start_component(component, wait=wait)

    def stop(self) -> None:
        """End everything; raises if anything survives. Files stay: see `remove`."""
        self._stop(self._stop_grace)

    def _stop(self, grace: float) -> None:
        self._expected.clear()
        try:
            # The others report to the api-server to the end. It then waits for connections that nobody
            # will use again, and has nothing of its own to put in order.
            self._processes.stop([name for name in COMPONENTS if name != API_SERVER], grace=grace)
        finally:
            self._processes.stop(grace=0.3)
            self._log_server.stop()
            self._port.release()

    def save_logs(self, target: Path) -> Path:
        """Copy all logs to `target`, for after the home is gone."""
        if self.logs.is_dir():
            shutil.copytree(self.logs, target, dirs_exist_ok=True)
        return target

    def remove(self) -> None:
        """Delete the temporary home; a home that was given is its giver's."""
        if self._own_home:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        if error is None:
            self.remove()
