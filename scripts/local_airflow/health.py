"""Reading the api-server's answer to "is everything there?"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

API_SERVER = "api-server"
SCHEDULER = "scheduler"
DAG_PROCESSOR = "dag-processor"
TRIGGERER = "triggerer"
COMPONENTS = (API_SERVER, SCHEDULER, DAG_PROCESSOR, TRIGGERER)

_KEYS = {SCHEDULER: "scheduler", DAG_PROCESSOR: "dag_processor", TRIGGERER: "triggerer"}


def is_up(health: Mapping[str, Any], component: str, since: float) -> bool:
    """Whether the component is healthy by a sign of life later than `since` (epoch seconds).

    Without that bound the last heartbeat of a killed predecessor counts as health for half a minute.
    """
    if component == API_SERVER:
        return True
    key = _KEYS[component]
    report = health.get(key) or {}
    heartbeat = report.get(f"latest_{key}_heartbeat")
    if report.get("status") != "healthy" or not heartbeat:
        return False
    return datetime.fromisoformat(heartbeat).timestamp() >= since


def missing(health: Mapping[str, Any] | None, started: Mapping[str, float]) -> list[str]:
    """Components that have not reported since they were started; all of them while nobody answers."""
    if health is None:
        return list(started)
    return [component for component, since in started.items() if not is_up(health, component, since)]


def describe_wait(absent: Sequence[str], dags: Sequence[str]) -> str:
    """What a boot is waiting for."""
    parts = [*absent, *(f"DAG {name}" for name in dags)]
    return f"waiting for {', '.join(parts)}" if parts else "ready"
