"""A landing beside a copy by hand: seconds and memory, as a table of ratios.

Each copy runs in a process of its own, after a small one that has opened all connections, and they take
turns: what else the machine does meets all of them. What was stored is read back and compared.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import statistics
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from copies import Copy
from servers.running import StorageServer
from servers.store import Store, fresh_store
from slow_host import SlowHost
from writers import Job, Measured, measured

from conftest import KINDS

MOST_TIME = 1.3
"""Of a copy loop with the backend's own SDK, one part in flight."""
MOST_MEMORY = 64.0
"""MiB above idle, for both."""

LANDING, LOOP, DEFAULT = "landing", "SDK, one part at a time", "SDK's default"


def job(what: str, store: Store, host: SlowHost, name: str) -> Job | Copy:
    """One copy of what the host has."""
    if what == LANDING:
        return Job(store.environment, host.url, store.uri(name), "benchmark")
    how = {LOOP: "one_at_a_time", DEFAULT: "default"}[what]
    return Copy(how, store.scheme, store.environment, store.connection, store.bucket, name, host.url)


def run(server: StorageServer, small: SlowHost, large: SlowHost, runs: int) -> dict[str, list[Measured]]:
    """All copies, in turns."""
    digest = hashlib.sha256(large.content).hexdigest()
    results: dict[str, list[Measured]] = {LANDING: [], LOOP: [], DEFAULT: []}
    for number in range(runs):
        turns = list(results)
        for what in turns[number % 3 :] + turns[: number % 3]:
            with fresh_store(server) as store:
                result = measured(
                    job(what, store, small, "v/small.mp4"), job(what, store, large, "v/large.mp4")
                )
                if hashlib.sha256(store.read("v/large.mp4")).hexdigest() != digest:
                    raise SystemExit(f"{what} to {server.name}: what is stored is another file.")
            results[what].append(result)
    return results


def table(kind: str, results: dict[str, list[Measured]]) -> tuple[list[str], bool]:
    """Lines of Markdown, and whether the landing kept to its limits."""
    loop = results[LOOP]
    lines, kept = [], True
    for what, measurements in results.items():
        seconds = [each.seconds for each in measurements]
        ratio = statistics.median(
            each.seconds / base.seconds for each, base in zip(measurements, loop, strict=True)
        )
        memory = max(each.peak for each in measurements)
        lines.append(
            f"| {kind} | {what} | {min(seconds):.2f} / {statistics.median(seconds):.2f} / {max(seconds):.2f} "
            f"| {ratio:.2f} | {memory:.0f} |"
        )
        if what == LANDING:
            kept = ratio <= MOST_TIME and memory <= MOST_MEMORY
    return lines, kept


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--servers", nargs="+", choices=KINDS, default=list(KINDS))
    arguments = parser.parse_args()
    kept = True
    folder = Path(tempfile.mkdtemp(prefix="ltx-landing-"))
    print("| Server | Copy | Seconds: min / median / max | Ratio to the loop | Peak MiB above idle |")
    print("|---|---|---|---|---|")
    try:
        small, large = SlowHost(pieces=10, pause=0), SlowHost(pieces=arguments.megabytes * 16, pause=0)
        with closing(small), closing(large):
            for kind in arguments.servers:
                missing = KINDS[kind].missing()
                if missing:
                    print(f"| {kind} | {missing} | | | |")
                    continue
                with KINDS[kind](folder / kind) as server:
                    lines, good = table(kind, run(server, small, large, arguments.runs))
                print("\n".join(lines), flush=True)
                kept = kept and good
    finally:
        shutil.rmtree(folder)
    if not kept:
        print(
            f"A landing took more than {MOST_TIME} of the loop's time, or {MOST_MEMORY:.0f} MiB.",
            file=sys.stderr,
        )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
