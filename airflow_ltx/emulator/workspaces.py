"""Workspaces and their credits: reserved at submit, then billed or released when the run ends."""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass, field

from airflow_ltx.emulator.jobs import Job


def fingerprint(key: str) -> str:
    """Return a short name of a key that does not give the key away."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


@dataclass(slots=True)
class Workspace:
    """Credits of one key, in millionths. Available is what was granted less ``billed`` and ``reserved``."""

    name: str
    billed: int = 0
    reserved: int = 0
    _running: list[tuple[float, int, Job]] = field(default_factory=list)

    def settle(self, now: float) -> None:
        """Turn the reservations of runs that ended by ``now`` into bills, or release them."""
        while self._running and self._running[0][0] <= now:
            job = heapq.heappop(self._running)[2]
            self.reserved -= job.price
            if job.error is None:
                self.billed += job.price

    def reserve(self, job: Job) -> None:
        """Set the price of ``job`` aside until it ends."""
        self.reserved += job.price
        heapq.heappush(self._running, (job.finished_at, job.ordinal, job))

    def available(self, granted: int) -> int:
        """Return what can be spent out of ``granted``, never less than nothing."""
        return max(0, granted - self.billed - self.reserved)
