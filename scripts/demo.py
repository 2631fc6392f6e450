"""`make demo`: one video from a prompt, made by a real Airflow on this machine."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from local_airflow import LocalAirflow, StackError, TaskInstance
from local_airflow.records import LogRecord
from showcase import remarks, report
from showcase.progress import Board, Line
from showcase.stage import Stage, end_on_sigterm, exit_code
from showcase.video import NotAVideoError, VideoFacts, inspect

DAG_ID = "ltx_text_to_video"
TASK_ID = "make_video"

# Made to be watched: long enough to see the states go by, short enough to wait for.
QUEUE_SECONDS = 2.0
INFERENCE_SECONDS = 12.0
EMULATED_LIMIT = 180.0
REAL_LIMIT = 1500.0


class DemoError(RuntimeError):
    """A step of the demo did not do what it promises."""


class Demo:
    """One showing, from boot to closing words."""

    def __init__(self, output: Path, queue_seconds: float, inference_seconds: float) -> None:
        self._output = output
        self._started = time.monotonic()
        self._board = Board(sys.stdout)
        self._remarks: dict[str, tuple[float, str]] = {}
        self._closing = ""
        self.stage = Stage(
            output,
            queue_seconds=queue_seconds,
            inference_seconds=inference_seconds,
            wait_for=[DAG_ID],
            say=lambda text: print(text, flush=True),
            on_boot=self._show_boot,
        )

    def run(self) -> None:
        self.stage.open()
        self._board.settle()
        airflow = self.stage.airflow
        airflow.api.unpause(DAG_ID)
        run_id = airflow.api.trigger_run(DAG_ID)
        print(f"Running DAG {DAG_ID}, run {run_id}", flush=True)
        state = airflow.api.wait_for_run(
            DAG_ID,
            run_id,
            timeout=REAL_LIMIT if self.stage.emulator is None else EMULATED_LIMIT,
            on_poll=lambda _, tasks: self._show_tasks(airflow, run_id, tasks),
        )
        self._board.settle()
        if state != "success":
            raise DemoError(self._why_failed(airflow, run_id))
        self._conclude(airflow, run_id)

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _show_boot(self, text: str) -> None:
        self._board.show([Line("airflow", "ready" if text == "ready" else "booting", self._elapsed(), text)])

    def _show_tasks(self, airflow: LocalAirflow, run_id: str, tasks: Sequence[TaskInstance]) -> None:
        now = time.time()
        lines = []
        for task in tasks:
            end = task.end.timestamp() if task.end else now
            elapsed = end - task.start.timestamp() if task.start else 0.0
            state = task.state or "waiting"
            lines.append(Line(task.label, state, elapsed, self._remark(airflow, run_id, task)))
        self._board.show(lines)

    def _remark(self, airflow: LocalAirflow, run_id: str, task: TaskInstance) -> str:
        """What the task's log says, read once a second at most: a log is fetched whole."""
        if task.start is None:
            return ""
        read_at, text = self._remarks.get(task.label, (0.0, ""))
        if task.end is None and time.monotonic() - read_at < 1.0:
            return text
        # Decoration: a log that cannot be read now is read a second later.
        with suppress(StackError):
            text = remarks.last_remark(_log(airflow, run_id, task)) or text
        self._remarks[task.label] = (time.monotonic(), text)
        return text

    def _why_failed(self, airflow: LocalAirflow, run_id: str) -> str:
        failed = [task for task in airflow.api.task_instances(DAG_ID, run_id) if task.state == "failed"]
        if not failed:
            return f"the run of {DAG_ID} failed without a failed task"
        reason = remarks.failure_reason(_log(airflow, run_id, failed[0]))
        return f"task {failed[0].label} failed: {reason or 'its log has no error'}"

    def _conclude(self, airflow: LocalAirflow, run_id: str) -> None:
        xcoms = airflow.api.xcoms(DAG_ID, run_id, TASK_ID)
        result = xcoms.get("return_value")
        if not isinstance(result, dict) or not result.get("uri"):
            raise DemoError(f"task {TASK_ID} published no video: return_value is {result!r}")
        path, facts = _check_video(str(result["uri"]))
        print(f"\nXCom of {DAG_ID}.{TASK_ID}:\n{report.aligned(report.xcom_rows(xcoms))}\n")
        rows = [*self._costs(result), ("took", f"{self._elapsed():.0f} s"), ("video", str(facts))]
        print(report.aligned(rows, indent=""))
        self._closing = report.relative(path, Path.cwd())

    def _costs(self, result: dict[str, Any]) -> list[tuple[str, str]]:
        cost = result.get("cost")
        amount = float(cost) if isinstance(cost, (int, float)) else None
        if self.stage.emulator is None:
            return [("cost", report.dollars(amount))]
        book = report.Book.of(self.stage.emulator.ledger())
        priced = amount if amount is not None else book.billed
        return [
            ("cost", f"would have been {report.dollars(priced)}; the emulator bills nothing"),
            ("ledger", f"{book.submits} submit{'' if book.submits == 1 else 's'} reached the service"),
        ]

    def farewell(self) -> None:
        """After everything is stopped: the last line is the one thing to take along."""
        print(f"\nDone, nothing left running. Your video:\n{self._closing}", flush=True)


def _log(airflow: LocalAirflow, run_id: str, task: TaskInstance) -> list[LogRecord]:
    return airflow.api.task_log_records(
        DAG_ID, run_id, task.task_id, try_number=max(task.try_number, 1), map_index=task.map_index
    )


def _check_video(uri: str) -> tuple[Path, VideoFacts]:
    try:
        path = report.local_path(uri)
        return path, inspect(path)
    except (NotAVideoError, ValueError) as error:
        raise DemoError(f"the video is not what it should be: {error}") from error


def describe(error: Exception) -> str:
    """For people; what nobody foresaw comes with its traceback for whoever mends it."""
    if isinstance(error, StackError):
        return error.summary
    if isinstance(error, DemoError):
        return str(error)
    traceback.print_exception(error)
    return f"unexpected {type(error).__name__}: {error}"


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo.py", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="where the video goes")
    parser.add_argument("--queue-seconds", type=float, default=QUEUE_SECONDS, help="emulator: time in queue")
    parser.add_argument(
        "--inference-seconds", type=float, default=INFERENCE_SECONDS, help="emulator: time to make"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    arguments = _arguments(argv)
    end_on_sigterm()
    output = arguments.output.resolve()
    demo = Demo(output, arguments.queue_seconds, arguments.inference_seconds)
    code, why = 0, ""
    logs: Path | None = None
    try:
        demo.run()
    except KeyboardInterrupt as interrupt:
        code, why = exit_code(interrupt), "interrupted; everything is stopped"
    except Exception as error:
        code, why = 1, describe(error)
        logs = demo.stage.save_logs()
    print("Stopping.", flush=True)
    try:
        demo.stage.close()
    except StackError as error:
        code, why = 1, f"{why}\n{error.summary}".strip()
    if code:
        return _fail(code, why, logs)
    demo.farewell()
    return 0


def _fail(code: int, why: str, logs: Path | None) -> int:
    """Details above, then one line that says what, why and where to read on."""
    *details, last = why.strip().splitlines()
    for line in details:
        print(line, file=sys.stderr)
    where = f" Logs: {report.relative(logs, Path.cwd())}" if logs else ""
    print(
        f"make demo failed: {last}{where}" if code == 1 else f"make demo: {last}.",
        file=sys.stderr,
        flush=True,
    )
    return code


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(main(sys.argv[1:]))
