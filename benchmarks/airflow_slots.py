"""Videos of twenty seconds on a real Airflow with four worker slots: for how long they hold a slot, and what
they take of the CPU, beside a task that only defers, one that is written by hand, and one that blocks.

Slot-seconds are a sum over ten looks a second at the processes of the LocalExecutor. CPU is that of all of
Airflow's processes, less what they take when there is nothing to do.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
from results import Target, save, table, verdict

from local_airflow import SCHEDULER, LocalAirflow
from local_emulator import LocalEmulator
from showcase.service import Service

HERE = Path(__file__).resolve().parent
INFERENCE = 20.0
SLOTS = 4

BARE, BY_HAND, OURS, BLOCKING = "bare", "by_hand", "deferred", "blocking"
NAMES: Mapping[str, str] = {
    BARE: "defers to a sleep, and finishes",
    BY_HAND: "written by hand: submits, defers, returns a URL",
    OURS: "LTXSubmitOperator",
    BLOCKING: "task with the official SDK, blocking",
}
VIDEOS: Mapping[str, int] = {BARE: 40, BY_HAND: 40, OURS: 40, BLOCKING: 8}
"""The blocking task takes its time: two rounds of the slots tell its share of one video."""

MOST_OF_BARE, LEAST_BELOW_BLOCKING = 1.1, 8.0

_TITLE, _IDLE = "airflow worker -- LocalExecutor", "<idle>"


@dataclass(frozen=True)
class Taken:
    """By one run; all in seconds."""

    kind: str
    videos: int
    slot: float
    cpu: float
    wall: float


class Slots:
    """Looks at the workers until it is stopped."""

    def __init__(self, airflow: LocalAirflow) -> None:
        self._scheduler = psutil.Process(airflow.main_pid(SCHEDULER))
        self._over = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self.seconds = 0.0

    def start(self) -> None:
        self._workers = [each for each in self._scheduler.children() if self._title(each).startswith(_TITLE)]
        if len(self._workers) != SLOTS:
            raise SystemExit(f"The scheduler has {len(self._workers)} workers, not {SLOTS}.")
        self._thread.start()

    def stop(self) -> float:
        self._over.set()
        self._thread.join()
        return self.seconds

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._over.wait(0.1):
            at = time.monotonic()
            busy = sum(_IDLE not in self._title(worker) for worker in self._workers)
            self.seconds += busy * (at - last)
            last = at

    @staticmethod
    def _title(process: psutil.Process) -> str:
        return " ".join(process.cmdline())


def cpu(airflow: LocalAirflow) -> float:
    """Seconds so far, of the processes that have ended too."""
    total = 0.0
    for pid in airflow.pids():
        try:
            total += sum(psutil.Process(pid).cpu_times()[:4])
        except psutil.NoSuchProcess:
            # Between the two looks; its parent counts it from now on.
            continue
    return total


def idle(airflow: LocalAirflow, dag_id: str, run_id: str, seconds: float) -> float:
    """CPU a second while nothing is to be done, but for who asks how a run stands."""
    begin, at = cpu(airflow), time.monotonic()
    while time.monotonic() - at < seconds:
        airflow.api.run_state(dag_id, run_id)
        time.sleep(1.0)
    return (cpu(airflow) - begin) / (time.monotonic() - at)


def run(airflow: LocalAirflow, kind: str, count: int, rate: float) -> Taken:
    """One run of one kind, from the click to the last green task."""
    dag_id = f"{kind}_{count}"
    slots = Slots(airflow)
    slots.start()
    begin, at = cpu(airflow), time.monotonic()
    run_id = airflow.api.trigger_run(dag_id)
    state = airflow.api.wait_for_run(dag_id, run_id, timeout=600, interval=1.0)
    wall = time.monotonic() - at
    # The last worker has not always noticed that its task is over.
    time.sleep(1.5)
    used = cpu(airflow) - begin - rate * (wall + 1.5)
    if state != "success":
        raise SystemExit(f"{dag_id} ended as {state}.")
    return Taken(kind, count, slots.stop(), used, wall)


def measure(airflow: LocalAirflow, rounds: int) -> list[Taken]:
    """All kinds, in turns, after a small run of each: the first task of an Airflow is slower."""
    api = airflow.api
    deferring = (BARE, BY_HAND, OURS)
    dags = [*(f"{kind}_{count}" for kind in deferring for count in (4, VIDEOS[kind])), "blocking_8"]
    airflow.wait_for_dags(*dags)
    for dag_id in dags:
        api.unpause(dag_id)
    for dag_id in (f"{OURS}_4", f"{BY_HAND}_4", f"{BARE}_4"):
        run_id = api.trigger_run(dag_id)
        api.wait_for_run(dag_id, run_id, timeout=300)
    time.sleep(5)
    rate = idle(airflow, dag_id, run_id, 20)
    taken = []
    for number in range(rounds):
        kinds = deferring if number % 2 == 0 else deferring[::-1]
        for kind in [*kinds, BLOCKING] if number == 0 else kinds:
            taken.append(run(airflow, kind, VIDEOS[kind], rate))
            print(taken[-1], file=sys.stderr, flush=True)
    return taken


def per_video(taken: Sequence[Taken], kind: str) -> dict[str, float]:
    """Medians over the runs; seconds."""
    runs = [each for each in taken if each.kind == kind]
    return {
        "slot": statistics.median(each.slot / each.videos for each in runs),
        "cpu": statistics.median(each.cpu / each.videos for each in runs),
        "wall": statistics.median(each.wall for each in runs),
    }


def report(taken: Sequence[Taken]) -> tuple[str, list[Target]]:
    """A table of ratios to the bare task, and what was to be shown."""
    found = {kind: per_video(taken, kind) for kind in NAMES}
    base = found[BARE]
    rows = [
        (
            NAMES[kind],
            f"{VIDEOS[kind]}",
            f"{each['slot'] / base['slot']:.2f}",
            f"{each['slot']:.2f}",
            f"{each['cpu'] / base['cpu']:.2f}",
            f"{each['wall']:.0f}",
        )
        for kind, each in found.items()
    ]
    header = (
        f"videos of {INFERENCE:.0f} s, {SLOTS} slots",
        "videos",
        "slot-seconds per video (bare = 1)",
        "the same, s",
        "CPU per video (bare = 1)",
        "wall of all, s",
    )
    below = found[BLOCKING]["slot"] / found[OURS]["slot"]
    goals = [
        Target("slot-seconds, of the bare task's", found[OURS]["slot"] / base["slot"], MOST_OF_BARE),
        Target("slot-seconds, the blocking task's are so many times them", below, LEAST_BELOW_BLOCKING, True),
    ]
    return table(header, rows), goals


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="of those that defer (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ltx-slots-") as temporary:
        home = Path(temporary) / "airflow"
        (home / "config").mkdir(parents=True)
        for module in ("bare.py", "by_hand.py"):
            shutil.copy(HERE / module, home / "config")
        with (
            LocalEmulator(
                queue_seconds=0, inference_seconds=INFERENCE, home=Path(temporary) / "emulator"
            ) as emulator,
            LocalAirflow(
                HERE / "slots_dags", home=home, parallelism=SLOTS, env=_environment(emulator)
            ) as airflow,
        ):
            emulator.configure(prerender=False, credits=1e6)
            taken = measure(airflow, arguments.rounds)
    save("airflow_slots", [asdict(each) for each in taken])
    shown, goals = report(taken)
    print(shown, verdict(goals), sep="\n\n")
    return 0 if all(goal.kept for goal in goals) else 1


def _environment(emulator: LocalEmulator) -> dict[str, Any]:
    service = Service(base_url=emulator.base_url, key=emulator.key, emulated=True)
    return {
        "AIRFLOW_CONN_SEGMIND_DEFAULT": service.connection(),
        "BENCH_SEGMIND_KEY": emulator.key,
        "BENCH_SEGMIND_URL": emulator.base_url,
    }


if __name__ == "__main__":
    sys.exit(main())
