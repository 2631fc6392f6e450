"""Draws what the benchmarks left into docs/, as PNG and SVG. What was not measured is not drawn."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from airflow_slots import BARE, BLOCKING, BY_HAND, INFERENCE, NAMES, OURS, SLOTS, Taken, per_video
from polling import BARE as BARE_TRIGGER
from polling import FLOOR
from polling import OURS as THIS_PACKAGE
from results import load

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

TARGET = Path(__file__).resolve().parents[1] / "docs" / "_static" / "bench"

# Okabe and Ito's colours, which colour-blind readers can tell apart; each line has a marker of its own, too.
BLUE, ORANGE, GREEN, PINK, SKY, RED, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#8C8C8C",
)
_STYLE = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.hashsalt": "bench",
    "svg.fonttype": "none",
}

_IN_BURSTS = ("http provider", "openai provider", "anthropic provider")
"""They look at once when they begin, and stay together."""

Measured = list[dict[str, Any]]


def cpu_per_call(measured: Measured) -> Figure:
    """Bars, the cheapest first, of the size that all were measured at."""
    found = {each["client"]: each["cpu"] for each in measured if each["count"] == 100 and "cpu" in each}
    clients = sorted(found, key=found.__getitem__, reverse=True)
    ratios = [found[client] / found[FLOOR] for client in clients]
    names = [f"{client} *" if client in _IN_BURSTS else client for client in clients]
    figure, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    bars = axes.barh(names, ratios, color=[BLUE if each == THIS_PACKAGE else GREY for each in clients])
    axes.bar_label(bars, [f"{ratio:.1f}" for ratio in ratios], padding=4)
    axes.set_xscale("log")
    axes.set_xlim(0.8, max(ratios) * 2)
    axes.set_xticks((1, 3, 10, 30, 100), ("1", "3", "10", "30", "100"))
    axes.minorticks_off()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("CPU per poll (raw socket = 1, logarithmic)\n* polls in bursts, which saves wake-ups")
    axes.set_title("CPU per poll: 100 waiting, a poll each every 5 s", loc="left")
    return figure


def by_count(measured: Measured) -> Figure:
    """Loop lag and memory over the number of waits."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    styles: dict[str, tuple[str, str]] = {
        THIS_PACKAGE: (BLUE, "o"),
        "http provider": (SKY, "v"),
        "anthropic provider": (GREEN, "s"),
        "openai provider": (PINK, "D"),
        "httpx, client per trigger": (ORANGE, "^"),
        "httpx, client per poll": (RED, "X"),
    }
    for client, (colour, marker) in styles.items():
        cases = [each for each in measured if each["client"] == client]
        _line(
            left,
            [(each["count"], max(1.0, each["start"]["max"])) for each in cases],
            client,
            colour,
            marker,
        )
        bare = {each["count"]: each["memory"] for each in measured if each["client"] == BARE_TRIGGER}
        usual = min(bare.values(), default=0.0)
        _line(
            right,
            [
                (each["count"], max(1.0, (each["memory"] - bare.get(each["count"], usual)) / 1024))
                for each in cases
                if each["count"] > 1
            ],
            client,
            colour,
            marker,
        )
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks((1, 10, 100, 1000, 5000), ("1", "10", "100", "1000", "5000"))
        axes.set_xlabel("waiting triggers")
    right.set_xlim(80, 6500)
    _plain(left, (1, 10, 100, 1000))
    _plain(right, (1, 10, 100, 1000))
    left.set_ylabel("ms")
    left.set_title("Longest block of the loop while they start", loc="left")
    right.set_ylabel("KiB")
    right.set_title("Memory per waiting trigger, above a bare one", loc="left")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def polls_and_lag(measured: dict[str, Any]) -> Figure:
    """The price and the use of a schedule, over the length of the jobs."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    styles = dict(
        zip(
            dict.fromkeys(each["schedule"] for each in measured["schedules"]),
            ((SKY, "o", "-"), (BLUE, "s", "-"), (RED, "^", "--"), (ORANGE, "v", "--"), (PINK, "D", "--")),
            strict=True,
        )
    )
    for schedule, (colour, marker, dashes) in styles.items():
        cases = [each for each in measured["schedules"] if each["schedule"] == schedule]
        _line(left, [(each["length"], each["polls"]) for each in cases], schedule, colour, marker, dashes)
        lags = [(each["length"], 100 * each["lag"] / each["took"]) for each in cases]
        _line(right, lags, schedule, colour, marker, dashes)
    lengths = sorted({each["length"] for each in measured["schedules"]})
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(lengths, [f"{each}" for each in lengths])
        axes.minorticks_off()
        axes.set_xlabel("the job takes about, s")
    _plain(left, (1, 3, 10, 30, 100, 300, 1000))
    _plain(right, (0.1, 0.3, 1, 3, 10, 30, 100))
    left.set_ylabel("polls")
    left.set_title("Polls per job", loc="left")
    right.set_ylabel("% of the job's time")
    right.set_title("Mean lag until the end is seen", loc="left")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return figure


def slot_seconds(measured: Measured) -> Figure:
    """What a video holds of the workers."""
    taken = [Taken(**each) for each in measured]
    kinds = [BLOCKING, OURS, BY_HAND, BARE]
    values = [per_video(taken, kind)["slot"] for kind in kinds]
    ratios = [value / values[-1] for value in values]
    figure, axes = plt.subplots(figsize=(7.5, 2.9), layout="constrained")
    bars = axes.barh([NAMES[kind] for kind in kinds], ratios, color=[GREY, BLUE, GREY, GREY])
    axes.bar_label(bars, [f"{ratio:.1f}" for ratio in ratios], padding=4)
    axes.set_xlim(0, max(ratios) * 1.12)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("worker-slot-seconds per video (bare deferral = 1)")
    axes.set_title(f"Worker slots held by a video of {INFERENCE:.0f} s, {SLOTS} slots", loc="left")
    return figure


PLOTS: dict[str, tuple[str, Callable[[Any], Figure]]] = {
    "cpu-per-poll": ("polling", cpu_per_call),
    "start-and-memory": ("polling", by_count),
    "polls-and-lag": ("schedule", polls_and_lag),
    "slot-seconds": ("airflow_slots", slot_seconds),
}


def _line(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    label: str,
    colour: str,
    marker: str,
    dashes: str = "-",
) -> None:
    if points:
        across, up = zip(*sorted(points), strict=True)
        axes.plot(across, up, dashes, label=label, color=colour, marker=marker, markersize=6, linewidth=1.8)


def _plain(axes: Axes, ticks: Sequence[float]) -> None:
    """Ticks as numbers that anybody reads."""
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


def main() -> int:
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, (benchmark, draw) in PLOTS.items():
        measured = load(benchmark)
        if measured is None:
            print(f"{name}: the benchmark {benchmark} was not run; the plot stays as it is.")
            continue
        with plt.rc_context(_STYLE):
            figure = draw(measured)
            figure.savefig(TARGET / f"{name}.png", dpi=110)
            figure.savefig(TARGET / f"{name}.svg", metadata={"Date": None})
            plt.close(figure)
        print(TARGET / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
