from __future__ import annotations

import pytest

from local_compose.file import Service
from local_compose.order import State, layers, one_offs, startable, unsettled

HEALTHY, COMPLETED, STARTED = "service_healthy", "service_completed_successfully", "service_started"


def service(name: str, *, test: bool = True, **depends_on: str) -> Service:
    return Service(name, "x:1.0", (), (), {}, ("true",) if test else None, (), (), depends_on)


def graph(*services: Service) -> dict[str, Service]:
    return {one.name: one for one in services}


STACK = graph(
    service("server", init=COMPLETED),
    service("init", test=False, database=HEALTHY),
    service("database"),
    service("watcher", test=False, server=STARTED),
)


def states(**given: State) -> dict[str, State]:
    return {name: given.get(name, State.WAITING) for name in STACK}


def test_services_are_layered_by_what_they_need():
    assert layers(STACK) == [["database"], ["init"], ["server"], ["watcher"]]
    assert one_offs(STACK) == {"init"}


@pytest.mark.parametrize(
    "broken",
    [graph(service("a", b=HEALTHY), service("b", a=HEALTHY)), graph(service("a", missing=HEALTHY))],
)
def test_a_circle_or_an_unknown_name_is_an_error(broken):
    with pytest.raises(ValueError, match="goes in a circle"):
        layers(broken)


def test_a_service_starts_when_its_conditions_are_met_and_not_before():
    assert startable(STACK, states()) == ["database"]
    assert startable(STACK, states(database=State.STARTED)) == []
    assert startable(STACK, states(database=State.HEALTHY)) == ["init"]
    running = states(database=State.HEALTHY, init=State.STARTED)
    assert startable(STACK, running) == []
    assert startable(STACK, {**running, "init": State.COMPLETED}) == ["server"]
    assert startable(STACK, {**running, "init": State.COMPLETED, "server": State.STARTED}) == ["watcher"]


def test_what_is_up_is_healthy_or_has_ended_or_has_no_health_check():
    every = list(STACK)
    assert unsettled(STACK, states(), every) == every
    up = {"database": State.HEALTHY, "server": State.HEALTHY, "init": State.COMPLETED}
    assert unsettled(STACK, states(**up, watcher=State.STARTED), every) == []
    assert unsettled(STACK, states(**{**up, "server": State.STARTED}), ["server", "init"]) == ["server"]
    assert unsettled(STACK, states(**{**up, "init": State.STARTED}), ["init"]) == ["init"]
