"""A service and an Airflow that uses it, up together and down together."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from local_airflow import LocalAirflow
from local_airflow.configuration import Settings
from local_emulator import LocalEmulator
from showcase.service import USUAL_COST, Service, configured_service

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "dags_examples"


class Terminated(KeyboardInterrupt):
    """SIGTERM: the same way out as Ctrl-C, with another exit code."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def end_on_sigterm() -> None:
    """Let `kill` clean up as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _terminate)
    # A shell that starts its child in the background has it ignore Ctrl-C; an explicit SIGINT is meant all
    # the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def exit_code(interrupt: KeyboardInterrupt) -> int:
    return 143 if isinstance(interrupt, Terminated) else 130


def log_directory(output: Path, now: time.struct_time) -> Path:
    """Sorted by name is sorted by time."""
    return output / time.strftime("logs-%Y%m%d-%H%M%S", now)


class Stage:
    """Boots with `open`, ends with `close`; both are safe to call after a failure."""

    def __init__(
        self,
        output: Path,
        *,
        queue_seconds: float,
        inference_seconds: float,
        dags: Sequence[Path] = (EXAMPLES,),
        wait_for: Sequence[str] = (),
        tolerate_import_errors: bool = False,
        settings: Settings | None = None,
        say: Callable[[str], None],
        on_boot: Callable[[str], None],
    ) -> None:
        self._output = output
        self._timing = (queue_seconds, inference_seconds)
        self._dags = list(dags)
        self._wait_for = list(wait_for)
        self._tolerate_import_errors = tolerate_import_errors
        self._settings = settings
        self._say = say
        self._on_boot = on_boot
        self.emulator: LocalEmulator | None = None
        self._airflow: LocalAirflow | None = None

    @property
    def airflow(self) -> LocalAirflow:
        if self._airflow is None:
            raise RuntimeError("open() has not been called")
        return self._airflow

    def open(self) -> None:
        service = configured_service(os.environ) or self._emulated()
        self._say(service.announcement())
        self._say("Starting Airflow: api-server, scheduler, dag-processor and triggerer.")
        self._output.mkdir(parents=True, exist_ok=True)
        self._airflow = LocalAirflow(
            self._dags,
            env={
                "AIRFLOW_CONN_SEGMIND_DEFAULT": service.connection(),
                "AIRFLOW_VAR_LTX_DESTINATION": f"file://{self._output}/",
            },
            wait_for=self._wait_for,
            tolerate_import_errors=self._tolerate_import_errors,
            settings=self._settings,
            on_progress=self._on_boot,
        )
        self._airflow.start()

    def _emulated(self) -> Service:
        queue, inference = self._timing
        self.emulator = LocalEmulator(
            queue_seconds=queue,
            inference_seconds=inference,
            # What the model's page names as its average, since these seconds are not the real service's.
            arguments=[f"--price=ltx-video={USUAL_COST}"],
        )
        self.emulator.start()
        return Service(base_url=self.emulator.base_url, key=self.emulator.key, emulated=True)

    def save_logs(self) -> Path | None:
        """Logs of everything that got as far as writing one, under the output directory."""
        target = log_directory(self._output, time.localtime())
        if self._airflow is not None:
            self._airflow.save_logs(target)
        if self.emulator is not None and self.emulator.log.exists():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.emulator.log, target)
        return target if target.exists() else None

    def close(self) -> None:
        """End all processes, Airflow first, and delete the temporary homes."""
        # An impatient second Ctrl-C would only leave more behind; this takes seconds and has an end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            if self._airflow is not None:
                self._airflow.stop()
                self._airflow.remove()
        finally:
            if self.emulator is not None:
                self.emulator.stop()
                self.emulator.remove()
