"""In which order services start: `depends_on` with its conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from local_compose.file import COMPLETED, HEALTHY, STARTED, Service


class State(Enum):
    """Where one service stands."""

    WAITING = "waiting"
    STARTED = "started"
    HEALTHY = "healthy"
    COMPLETED = "completed"


_SATISFIED = {
    STARTED: {State.STARTED, State.HEALTHY, State.COMPLETED},
    HEALTHY: {State.HEALTHY},
    COMPLETED: {State.COMPLETED},
}


def one_offs(services: Mapping[str, Service]) -> set[str]:
    """Services that somebody waits for the end of; all others stay up."""
    return {
        name
        for service in services.values()
        for name, condition in service.depends_on.items()
        if condition == COMPLETED
    }


def layers(services: Mapping[str, Service]) -> list[list[str]]:
    """All names, those first that depend on nobody. ValueError for a cycle or a name that does not exist."""
    placed: dict[str, int] = {}
    found: list[list[str]] = []
    while len(placed) < len(services):
        layer = [
            name
            for name, service in services.items()
            if name not in placed and all(other in placed for other in service.depends_on)
        ]
        if not layer:
            stuck = {name: sorted(services[name].depends_on) for name in services if name not in placed}
            raise ValueError(f"depends_on names a service that is not there, or goes in a circle: {stuck}")
        placed.update(dict.fromkeys(layer, len(found)))
        found.append(layer)
    return found


def startable(services: Mapping[str, Service], states: Mapping[str, State]) -> list[str]:
    """Waiting services whose conditions are all met."""
    return [
        name
        for name, service in services.items()
        if states[name] is State.WAITING
        and all(states[other] in _SATISFIED[condition] for other, condition in service.depends_on.items())
    ]


def unsettled(
    services: Mapping[str, Service], states: Mapping[str, State], names: Iterable[str]
) -> list[str]:
    """Which of `names` are not up yet: healthy, or without a health check started, or at their end."""
    ends = one_offs(services)

    def goal(name: str) -> State:
        if name in ends:
            return State.COMPLETED
        return State.HEALTHY if services[name].test is not None else State.STARTED

    return [name for name in names if states[name] is not goal(name)]
