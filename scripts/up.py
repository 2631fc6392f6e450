"""`make up`: Airflow, the example DAGs and a local Segmind, left running until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from local_airflow import StackError
from showcase import report
from showcase.progress import Board, Line
from showcase.stage import EXAMPLES, Stage, end_on_sigterm

QUEUE_SECONDS = 2.0
INFERENCE_SECONDS = 12.0


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="up.py", description=__doc__)
    parser.add_argument("--dags", type=Path, default=EXAMPLES, help="the DAG folder")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="where videos go")
    parser.add_argument("--queue-seconds", type=float, default=QUEUE_SECONDS, help="emulator: time in queue")
    parser.add_argument(
        "--inference-seconds", type=float, default=INFERENCE_SECONDS, help="emulator: time to make"
    )
    return parser.parse_args(argv)


def _introduce(stage: Stage, dags: Path, output: Path) -> None:
    airflow = stage.airflow
    rows = [
        ("Airflow", airflow.base_url),
        ("login", f"{airflow.username} / {airflow.password}"),
        ("DAGs", str(dags)),
        ("videos", str(output)),
        ("logs", str(airflow.logs)),
        ("shell", f"export AIRFLOW_HOME={airflow.home}"),
    ]
    if stage.emulator is not None:
        rows.insert(
            2, ("Segmind", f"{stage.emulator.base_url} (local emulator; ledger at /_emulator/ledger)")
        )
    print(f"\n{report.aligned(rows, indent='')}\n")
    for failure in airflow.api.import_errors():
        print(f"{failure.filename} cannot be imported:\n{failure.text}", file=sys.stderr)
    print("Ctrl-C ends it.", flush=True)


def _attend(stage: Stage) -> None:
    while True:
        stage.airflow.check()
        if stage.emulator is not None:
            stage.emulator.check()
        time.sleep(1)


def main(argv: Sequence[str]) -> int:
    arguments = _arguments(argv)
    end_on_sigterm()
    dags, output = arguments.dags.resolve(), arguments.output.resolve()
    board, started = Board(sys.stdout), time.monotonic()
    stage = Stage(
        output,
        queue_seconds=arguments.queue_seconds,
        inference_seconds=arguments.inference_seconds,
        dags=[dags],
        # A DAG that does not parse yet is what somebody may have come to work on.
        tolerate_import_errors=True,
        say=lambda text: print(text, flush=True),
        on_boot=lambda text: board.show([Line("airflow", "booting", time.monotonic() - started, text)]),
    )
    code, why = 0, ""
    logs: Path | None = None
    try:
        stage.open()
        _introduce(stage, dags, output)
        _attend(stage)
    except KeyboardInterrupt:
        # The way to end it, so no failure.
        pass
    except StackError as error:
        code, why, logs = 1, error.summary, stage.save_logs()
    finally:
        print("\nStopping.", flush=True)
        stage.close()
    if why:
        where = f"\nLogs: {report.relative(logs, Path.cwd())}" if logs else ""
        print(f"make up failed: {why}{where}", file=sys.stderr, flush=True)
    else:
        print("Everything is stopped.", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
