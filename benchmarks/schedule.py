"""When looks fall: how many a job takes, and how long after its end it is found. A simulation, in seconds.

Job times are lognormal around what the row says. The adaptive schedule knows only what the service says of
the model, or the twenty jobs before as well.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
from collections.abc import Callable, Mapping
from typing import Any

import rate_limited
from results import Target, save, table, verdict

from airflow_ltx.segmind.estimate import AVERAGES, Estimates, estimate
from airflow_ltx.segmind.polling import Pacing, PollState

MODEL = "ltx-video"
LENGTHS = (5, 15, 30, 55, 120, 300, 900)
"""Seconds."""
SIGMA = 0.4
FIXED = (1.0, 2.0, 5.0)
COLD, LEARNED = "adaptive, first job", "adaptive, after 20"

_LEARNED = 20

Draw = random.Random
Begin = Callable[[int, Draw], PollState]


def job(length: float, draw: Draw) -> float:
    return length * math.exp(draw.gauss(0, SIGMA))


def _cold(length: int, draw: Draw) -> PollState:
    return PollState(0.0, math.inf, submitted_at=0.0, pacing=Pacing(estimate(AVERAGES[MODEL])))


def _learned(length: int, draw: Draw) -> PollState:
    known = Estimates()
    for _ in range(_LEARNED):
        known.learn(MODEL, job(length, draw))
    return PollState(0.0, math.inf, submitted_at=0.0, pacing=Pacing(known.of(MODEL)))


def _fixed(interval: float) -> Begin:
    return lambda length, draw: PollState(0.0, math.inf, submitted_at=0.0, interval=interval)


SCHEDULES: Mapping[str, Begin] = {
    COLD: _cold,
    LEARNED: _learned,
    **{f"fixed {interval:.0f} s": _fixed(interval) for interval in FIXED},
}


def watch(seconds: float, state: PollState, draw: Draw) -> tuple[int, float]:
    """Looks, and seconds from the end to the one that sees it."""
    at, looks = state.first_wait(0.0, draw.random()), 1
    while at < seconds:
        at, looks = at + state.spacing(at, draw.random()), looks + 1
    return looks, at - seconds


def simulate(jobs: int) -> list[dict[str, Any]]:
    measured = []
    for length in LENGTHS:
        for name, begin in SCHEDULES.items():
            draw = Draw(f"{length} {name}")
            times = [job(length, draw) for _ in range(jobs)]
            looks, lags = zip(*(watch(time, begin(length, draw), draw) for time in times), strict=True)
            measured.append(
                {
                    "length": length,
                    "schedule": name,
                    "polls": statistics.mean(looks),
                    "took": statistics.mean(times),
                    "lag": statistics.mean(lags),
                    "p90": statistics.quantiles(lags, n=10)[8],
                }
            )
    return measured


def show(measured: list[dict[str, Any]]) -> str:
    """A cell: looks / mean lag / p90, the lags in shares of the jobs' mean time."""
    rows = []
    for length in LENGTHS:
        cells = [each for each in measured if each["length"] == length]
        rows.append((f"{length} s", *map(_cell, cells)))
    return table(("jobs of about: polls / mean lag / p90", *SCHEDULES), rows)


def _cell(each: Mapping[str, Any]) -> str:
    return f"{each['polls']:.1f} / {each['lag'] / each['took']:.1%} / {each['p90'] / each['took']:.1%}"


def show_limited(measured: Mapping[str, Mapping[str, Any]]) -> str:
    base = next(iter(measured.values()))
    rows = [
        (
            name,
            f"{each['calls'] / base['calls']:.2f}",
            f"{each['refused']:.1%}",
            f"{each['lag'] / base['lag']:.2f}",
            f"{each['lag']:.0f} / {each['longest']:.0f}",
            f"{each['all'] / 60:.1f}",
        )
        for name, each in measured.items()
    ]
    header = (
        f"{rate_limited.REQUESTS} jobs, {rate_limited.LIMIT} calls a minute",
        "calls (first = 1)",
        "answered 429",
        "mean lag (first = 1)",
        "lag, s: mean / longest",
        "until the last is there, min",
    )
    return table(header, rows)


def targets(measured: list[dict[str, Any]], limited: Mapping[str, Mapping[str, Any]]) -> list[Target]:
    found = {(each["schedule"], each["length"]): each for each in measured}
    goals = []
    for length in (30, 55, 120):
        each = found[COLD, length]
        goals.append(
            Target(f"first job, {length} s: mean lag, s", each["lag"], max(1.0, 0.08 * each["took"]))
        )
    goals += [
        Target("first job, 55 s: polls", found[COLD, 55]["polls"], 12),
        Target("after 20, 55 s: polls", found[LEARNED, 55]["polls"], 8),
        Target("after 20, 55 s: mean lag, s", found[LEARNED, 55]["lag"], 0.05 * found[LEARNED, 55]["took"]),
    ]
    goals += [
        Target(f"{name}: answered 429", each["refused"], 0.01)
        for name, each in limited.items()
        if not name.startswith("fixed")
    ]
    return goals


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2000, help="of each kind (default: %(default)s)")
    arguments = parser.parse_args()
    measured = simulate(arguments.jobs)
    print(show(measured), end="\n\n", flush=True)
    limited = rate_limited.measure()
    print(show_limited(limited), end="\n\n")
    save("schedule", {"schedules": measured, "limited": limited})
    goals = targets(measured, limited)
    print(verdict(goals))
    return 0 if all(goal.kept for goal in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
