"""The hold that keeps an event from overtaking the end of its task's first leg."""

from __future__ import annotations

import pytest

from airflow_ltx.triggers.early_event import configured_min_heartbeat_interval, hold_until, not_before


@pytest.mark.parametrize(("interval", "hold"), [(1.0, 8.0), (5.0, 8.0), (6.0, 9.0), (30.0, 33.0)])
def test_how_long(interval, hold):
    assert not_before(100.0, interval) == 100.0 + hold


@pytest.mark.parametrize(("moment", "slept"), [(None, []), (108.0, [8.0]), (90.0, [0.0]), (10_000.0, [60.0])])
async def test_the_hold_ends_with_its_moment_and_never_takes_more_than_a_minute(moment, slept):
    naps = []

    async def sleep(seconds):
        naps.append(seconds)

    await hold_until(moment, clock=lambda: 100.0, sleep=sleep)
    assert naps == slept


def test_the_interval_is_airflows_own_setting(monkeypatch):
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "12")
    assert configured_min_heartbeat_interval() == 12.0
