"""Many waits in one event loop, this package's beside others: CPU, loop lag, memory, connections.

Each case runs in a process of its own, against a server in another one that answers "still running". All
poll equally often. The cases of one size follow each other, so that what else the machine does meets all of
them; what is compared are ratios within one run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from results import Target, save, table, verdict
from stub import Stub
from waiters import environment
from waiting_child import Case

FLOOR, OURS, PER_POLL, BARE = "raw socket", "this package", "httpx, client per poll", "bare trigger"

COUNTS: Mapping[str, tuple[int, ...]] = {
    BARE: (1000, 5000),
    FLOOR: (1, 100, 1000, 5000),
    "aiohttp": (1, 100, 1000, 5000),
    OURS: (1, 100, 1000, 5000),
    # The others get no further with one core: they are late, or take minutes and gigabytes to begin.
    "this package, without aiohttp": (1, 100, 1000),
    "segmind SDK, threads": (1, 100, 1000),
    "http provider": (1, 100, 1000),
    "httpx, client per trigger": (1, 100, 500),
    "openai provider": (1, 100, 500),
    "anthropic provider": (1, 100, 500),
    PER_POLL: (1, 100),
}

INTERVAL = 5.0
ALONE = 0.1
"""Seconds between two polls of one that waits alone: else there would be too few of them to count."""

_PATIENCE = 45.0


def case(client: str, count: int, port: int) -> Case:
    if count == 1:
        return Case(client, 1, port, ALONE, 3.0, 1.0, _PATIENCE)
    # Two polls of each, or enough of all.
    return Case(client, count, port, INTERVAL, INTERVAL * (1 if count >= 500 else 2), INTERVAL, _PATIENCE)


def run(client: str, count: int) -> dict[str, Any]:
    """One case; its numbers."""
    with Stub() as stub, tempfile.TemporaryDirectory(prefix="ltx-bench-") as home:
        inherited = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        child = subprocess.run(  # noqa: S603
            [
                sys.executable,
                Path(__file__).with_name("waiting_child.py"),
                case(client, count, stub.port).to_json(),
            ],
            env={
                **inherited,
                **environment(stub.port),
                "AIRFLOW_HOME": home,
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    if child.returncode:
        raise SystemExit(f"{client}, {count}: {child.stderr[-3000:]}")
    measured: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return {"client": client, "count": count, **measured}


def show(count: int, cases: list[dict[str, Any]]) -> str:
    """The cases of one size, as ratios to the floor."""
    found = {each["client"]: each for each in cases if each["count"] == count}
    bare = found.get(BARE, {"memory": None})["memory"]
    rows = []
    for client, each in found.items():
        if client == BARE:
            continue
        memory = each["memory"] / 1024 if bare is None else (each["memory"] - bare) / 1024
        missed = max(0.0, 1 - each["calls"] / each["wanted"])
        rows.append(
            (
                client,
                f"{each['cpu'] / found[FLOOR]['cpu']:.1f}",
                f"{each['lag']['max']:.0f} / {each['lag']['p99']:.0f}",
                f"{each['start']['max']:.0f} / {each['start']['sum'] / 1000:.1f}",
                "" if count == 1 else f"{memory:.1f}",
                f"{each['connections']}",
                f"{each['opened']:.2f}",
                f"{each['late']}" + (f" ({missed:.0%} not made)" if missed > 0.05 and count > 1 else ""),
            )
        )
    header = (
        f"{count} waiting",
        f"CPU per call ({FLOOR} = 1)",
        "loop lag, ms: max / p99",
        "at the start: longest block, ms / all, s",
        "KiB per wait" + ("" if bare is None else " above a bare trigger"),
        "connections",
        "opened per call",
        "polls late by 1 s",
    )
    return table(header, rows)


def targets(cases: list[dict[str, Any]]) -> list[Target]:
    found = {(each["client"], each["count"]): each for each in cases}

    def all_of(*wanted: tuple[str, int]) -> bool:
        return all(each in found for each in wanted)

    goals = []
    if all_of((OURS, 1000)):
        ours = found[OURS, 1000]
        goals += [
            Target("1000: max loop lag after the start, ms", ours["lag"]["max"], 100),
            Target("1000: longest block while starting, ms", ours["start"]["max"], 100),
        ]
    if all_of((OURS, 1000), (FLOOR, 1000)):
        ratio = found[OURS, 1000]["cpu"] / found[FLOOR, 1000]["cpu"]
        goals.append(Target("1000: CPU per call, of the raw socket's", ratio, 8))
    if all_of((OURS, 1000), (PER_POLL, 100)):
        ratio = found[PER_POLL, 100]["cpu"] / found[OURS, 1000]["cpu"]
        goals.append(Target("1000: CPU per call, a client per poll's is so many times it", ratio, 10, True))
    if all_of((OURS, 5000), (BARE, 5000)):
        above = (found[OURS, 5000]["memory"] - found[BARE, 5000]["memory"]) / 1024
        goals.append(Target("5000: KiB per wait above a bare trigger", above, 25))
    if all_of((OURS, 5000)):
        goals.append(Target("5000: the latest poll, s", found[OURS, 5000]["latest"], 1))
    return goals


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = sorted({count for counts in COUNTS.values() for count in counts})
    parser.add_argument("--counts", nargs="+", type=int, choices=sizes, default=sizes)
    parser.add_argument("--clients", nargs="+", choices=list(COUNTS), default=list(COUNTS))
    arguments = parser.parse_args()
    cases: list[dict[str, Any]] = []
    for count in arguments.counts:
        chosen = [each for each, counts in COUNTS.items() if count in counts and each in arguments.clients]
        # Without it there is nothing to compare with.
        chosen = [FLOOR, *(each for each in chosen if each != FLOOR)]
        for client in chosen:
            print(f"{count:>5} {client}", file=sys.stderr, flush=True)
            cases.append(run(client, count))
        print(show(count, cases), end="\n\n", flush=True)
        save("polling", cases)
    goals = targets(cases)
    print(verdict(goals))
    return 0 if all(goal.kept for goal in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
