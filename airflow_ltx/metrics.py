"""What is measured, by Airflow's own metrics (StatsD or OpenTelemetry, whatever the deployment has set up).

Nothing here may fail a task or a trigger: a metric that cannot be sent is not sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from inspect import signature
from typing import Any

PREFIX = "segmind."

_ready: dict[int, Any] = {}


def purchased(model: str) -> None:
    """``segmind.purchases``: a request was bought."""
    _send(lambda stats: stats.incr(f"{PREFIX}purchases", tags={"model": model}))


def reattached(model: str) -> None:
    """``segmind.reattachments``: a try took up what an earlier one bought."""
    _send(lambda stats: stats.incr(f"{PREFIX}reattachments", tags={"model": model}))


def polled(model: str | None) -> None:
    """``segmind.polls``: a look at a request, by a trigger."""
    _send(lambda stats: stats.incr(f"{PREFIX}polls", tags=_of(model)))


def detected(model: str | None, lag: float) -> None:
    """``segmind.detection_lag``: seconds from a request's completion to the look that saw it."""
    _send(lambda stats: stats.timing(f"{PREFIX}detection_lag", timedelta(seconds=lag), tags=_of(model)))


def landed(where: str, seconds: float, size: int) -> None:
    """``segmind.landing_duration`` and ``segmind.landing_bytes``: files of one request were copied.

    :param where: ``triggerer`` or ``worker``.
    """
    tags = {"where": where}
    _send(
        lambda stats: stats.timing(f"{PREFIX}landing_duration", timedelta(seconds=seconds), tags=tags),
        lambda stats: stats.incr(f"{PREFIX}landing_bytes", count=size, tags=tags),
    )


def expired(model: str | None) -> None:
    """``segmind.results_expired``: a request was paid for, and its result is gone."""
    _send(lambda stats: stats.incr(f"{PREFIX}results_expired", tags=_of(model)))


def paused(seconds: float) -> None:
    """``segmind.rate_limit_pauses`` and ``segmind.rate_limit_pause``: a refusal keeps everybody waiting."""
    _send(
        lambda stats: stats.incr(f"{PREFIX}rate_limit_pauses"),
        lambda stats: stats.timing(f"{PREFIX}rate_limit_pause", timedelta(seconds=seconds)),
    )


def _of(model: str | None) -> dict[str, str]:
    return {"model": model or "unknown"}


def _send(*calls: Callable[[Any], object]) -> None:
    with suppress(Exception):
        stats = _ready.get(os.getpid())
        if stats is None:
            stats = _ready[os.getpid()] = _initialised()
        for call in calls:
            call(stats)


def _initialised() -> Any:
    """The task SDK's metrics. Its triggerer sets up a copy of the scheduler's instead, so that whatever a
    trigger sends would go nowhere."""
    from airflow.sdk.configuration import conf
    from airflow.sdk.observability.metrics import stats_utils
    from airflow.sdk.observability.stats import Stats

    # Before 3.3 the factory wants to know the class, and the class knows no names of old.
    wants_class = bool(signature(stats_utils.get_stats_factory).parameters)
    factory = stats_utils.get_stats_factory(*((Stats,) if wants_class else ()))
    legacy = {"export_legacy_names": conf.getboolean("metrics", "legacy_names_on", fallback=True)}
    Stats.initialize(factory=factory, **({} if wants_class else legacy))
    return Stats
