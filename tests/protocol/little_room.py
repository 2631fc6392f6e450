"""One video task on a disk with too little room, then with enough.

A process of its own, since it bends the disk: ``python little_room.py KIND WAIT FOLDER``. Kinds: ``limit``
bounds the size of files (RLIMIT_FSIZE), ``small`` and ``full`` mount a small disk over FOLDER, ``readonly``
one that cannot be written. Under ``unshare --mount`` such a disk is seen by this process alone, and is gone
with it. WAIT is ``deferrable`` or ``blocking``. Prints JSON: what each try raised or returned, and what was
in FOLDER after it.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowFailException
from videos import files

from airflow_ltx.exceptions import SegmindError
from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.triggers import early_event
from runner import TaskRun

PROMPT = "A lighthouse on a cliff at dusk, slow aerial shot moving towards the lantern"
LITTLE = 20 * 1024
"""Bytes: less than any video has, more than the test of a destination writes."""


def squeeze(kind: str, folder: Path) -> None:
    """Leave too little room."""
    match kind:
        case "limit":
            # The soft limit alone, so that it can be raised again.
            resource.setrlimit(resource.RLIMIT_FSIZE, (LITTLE, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        case "small":
            mount(folder, f"size={LITTLE}")
        case "full":
            mount(folder, f"size={LITTLE}")
            with (folder / "somebody's").open("wb") as file:
                file.write(b"\0" * LITTLE)
        case "readonly":
            mount(folder, "ro")


def relieve(kind: str, folder: Path) -> None:
    """Make room."""
    if kind == "limit":
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    else:
        mount(folder, "remount,rw,size=64m")


def mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def attempt(run: TaskRun, folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = {}
    try:
        told["result"] = run.try_once()
    except (SegmindError, AirflowFailException) as error:
        told |= {"error": type(error).__name__, "said": str(error)}
    return told | {"files": sorted(path.name for path in files(folder))}


def main(kind: str, wait: str, folder: Path) -> None:
    # The hold of early events is tested on its own.
    early_event.LEAST_HOLD = 0.0

    def build() -> LTXSubmitOperator:
        return LTXSubmitOperator(
            task_id="t",
            prompt=PROMPT,
            destination=f"file://{folder}/",
            poll_interval=0.05,
            deferrable=wait == "deferrable",
        )

    run = TaskRun(build)
    squeeze(kind, folder)
    tries = [attempt(run, folder)]
    relieve(kind, folder)
    tries.append(attempt(run, folder))
    # After the log, which is on standard output as well.
    sys.stdout.write(f"\n{json.dumps(tries)}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
