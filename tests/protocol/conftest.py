"""Fixtures of the tests over real sockets."""

from __future__ import annotations

import time

import pytest

pytest.register_assert_rewrite("complaints")

from complaints import bench  # noqa: E402, F401 - a fixture
from crash_stage import bucket, remote_stage, stage, stands  # noqa: E402, F401 - fixtures


@pytest.fixture
def no_hold(monkeypatch):
    """The hold of early events is tested on its own; elsewhere it would only be waiting."""
    monkeypatch.setattr("airflow_ltx.triggers.early_event.LEAST_HOLD", 0.0)
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "-3")


@pytest.fixture
def quick_searches(monkeypatch):
    """Searches of the history follow each other as fast as the emulator is."""
    monkeypatch.setattr("airflow_ltx.durability.recovery._SHORTEST", 0.1)
    monkeypatch.setattr("airflow_ltx.durability.recovery._SETTLING", 0.0)
    monkeypatch.setattr("airflow_ltx.operators._recover._ONE_READING", 0.5)


@pytest.fixture
def later(segmind, monkeypatch):
    """Moves the clocks of the service and of the package together."""
    passed = 0.0

    class Moved:
        sleep = staticmethod(time.sleep)

        @staticmethod
        def time() -> float:
            return time.time() + passed

    def move(seconds: float) -> None:
        nonlocal passed
        passed += seconds
        segmind.advance(seconds)

    monkeypatch.setattr("airflow_ltx.segmind.clock.time", Moved)
    return move


@pytest.fixture
def told(capsys):
    """Everything logged so far."""
    heard = []

    def text() -> str:
        heard.extend(capsys.readouterr())
        return "".join(heard)

    return text
