from __future__ import annotations

from datetime import UTC, datetime

from local_airflow.health import (
    API_SERVER,
    COMPONENTS,
    DAG_PROCESSOR,
    SCHEDULER,
    TRIGGERER,
    describe_wait,
    missing,
)

STARTED = datetime(2026, 1, 1, 12, 0, tzinfo=UTC).timestamp()
SINCE = dict.fromkeys(COMPONENTS, STARTED)
LATER, EARLIER = "2026-01-01T12:00:05+00:00", "2026-01-01T11:59:59+00:00"


def health(**changes: object) -> dict[str, object]:
    keys = ("scheduler", "dag_processor", "triggerer")
    report = {key: {"status": "healthy", f"latest_{key}_heartbeat": LATER} for key in keys}
    return {"metadatabase": {"status": "healthy"}, **report, **changes}


def test_everybody_is_missing_while_nobody_answers():
    assert missing(None, SINCE) == list(COMPONENTS)


def test_all_there():
    assert missing(health(), SINCE) == []


def test_a_heartbeat_of_the_predecessor_does_not_count():
    old = {"status": "healthy", "latest_triggerer_heartbeat": EARLIER}
    assert missing(health(triggerer=old), SINCE) == [TRIGGERER]


def test_not_seen_yet():
    never = {"status": None, "latest_dag_processor_heartbeat": None}
    unhealthy = {"status": "unhealthy", "latest_scheduler_heartbeat": LATER}
    report = health(dag_processor=never, scheduler=unhealthy)
    assert missing(report, SINCE) == [SCHEDULER, DAG_PROCESSOR]


def test_an_older_airflow_without_the_component_in_its_report():
    assert missing({}, {API_SERVER: STARTED, TRIGGERER: STARTED}) == [TRIGGERER]


def test_a_wait_is_described():
    assert describe_wait(["scheduler"], ["my_dag"]) == "waiting for scheduler, DAG my_dag"
    assert describe_wait([], []) == "ready"
