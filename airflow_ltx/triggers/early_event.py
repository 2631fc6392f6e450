"""A trigger must not fire soon after its task deferred: some Airflow versions then fail the task.

The executor's report that the first leg ended can reach the scheduler after the trigger has already set the
task back to queued; the scheduler takes that for a dead task. The report is late by up to ``[workers]
min_heartbeat_interval``, so the event is held until that has passed. Work and landing go on meanwhile.
Once every supported Airflow tells the two apart, this module and its two callers go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from airflow_ltx.segmind.clock import apause, now

LEAST_HOLD = 8.0
"""Seconds. The shortest hold that was clean under Airflow's stock settings, with a margin."""

STOCK_MIN_HEARTBEAT_INTERVAL = 5.0


def not_before(deferred_at: float, min_heartbeat_interval: float) -> float:
    """The epoch second before which the event of a task deferred at ``deferred_at`` must not go out."""
    return deferred_at + max(LEAST_HOLD, min_heartbeat_interval + 3.0)


def configured_min_heartbeat_interval() -> float:
    """``[workers] min_heartbeat_interval`` of this worker, in seconds."""
    from airflow.sdk.configuration import conf

    return float(conf.getfloat("workers", "min_heartbeat_interval", fallback=STOCK_MIN_HEARTBEAT_INTERVAL))


async def hold_until(
    moment: float | None,
    *,
    clock: Callable[[], float] = now,
    sleep: Callable[[float], Awaitable[None]] = apause,
) -> None:
    """Sleep until ``moment`` (epoch seconds); at most a minute, should the clocks of two machines differ."""
    if moment is not None:
        await sleep(min(60.0, max(0.0, moment - clock())))
