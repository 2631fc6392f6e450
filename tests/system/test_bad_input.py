"""Wrong input in real Airflow processes: what a person finds in the log on the task's page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TRACEBACK = "Task failed with exception"
POOR = "submit:before:402:Insufficient credits. You have 0.0 credits.*inf@of the poor"

# Task and map index: how many tries it has, and what its line says.
SAID: dict[str, tuple[int, list[str]]] = {
    "wrong_key": (1, ["HTTP 401", "Nothing was billed", "correct the password of the Segmind connection"]),
    "no_connection": (1, ["Connection 'nowhere' cannot be read", "Nothing was sent", "Create a connection"]),
    "no_credits": (1, ["HTTP 402", "You have 0.0 credits", "Nothing was billed", "add credits"]),
    "no_model": (1, ["HTTP 404", "Nothing was billed", "No model has the slug 'no-such-model'"]),
    "template": (1, ["steps is '51'; it must be a whole number from 1 to 50", "Nothing was sent or billed"]),
    "scheme": (1, ["has the scheme 'oss'; this version lands to file://", "Nothing was sent or billed"]),
    "mapped[0]": (1, ["length is 98; it must be one of 97, 129", "Nothing was sent or billed"]),
    "mapped[1]": (1, ["length is 'long'; it must be one of", "Nothing was sent or billed"]),
    "mapped[2]": (1, ["length is [97]; it must be one of", "Nothing was sent or billed"]),
    "no_folder": (2, ["/proc/videos cannot be written", "Nothing was sent or billed", "A retry begins anew"]),
    "no_request": (2, ["is unknown to the service", "buys nothing", "A retry looks again"]),
}


def levels(records: list[Mapping[str, Any] | str]) -> list[tuple[str, str]]:
    """Level and text of each line."""
    return [
        ("", record) if isinstance(record, str) else (str(record.get("level")), str(record.get("event")))
        for record in records
    ]


def test_each_wrong_input_is_one_line_before_the_traceback_and_buys_nothing(airflow_stack):
    airflow_stack.emulator.set_faults(POOR)
    try:
        runs = [airflow_stack.run(dag_id) for dag_id in ("bad_input", "bad_values")]
    finally:
        airflow_stack.emulator.set_faults()
    found = {task.label: (run, task) for run in runs for task in run.tasks if task.task_id != "lengths"}
    assert set(found) == set(SAID)
    for label, (run, task) in found.items():
        tries, parts = SAID[label]
        assert (label, task.state, task.try_number) == (label, "failed", tries)
        for number in range(1, tries + 1):
            lines = levels(
                airflow_stack.airflow.api.task_log_records(
                    run.dag_id, run.run_id, task.task_id, try_number=number, map_index=task.map_index
                )
            )
            errors = [line for line in lines if line[0] in ("error", "critical")]
            assert len(errors) == 2, (label, lines)
            (_, said), (_, last) = errors
            assert last == TRACEBACK, (label, lines)
            assert [part for part in parts if part not in said] == [], (label, said)
            assert said.endswith("The task is not retried.") is (tries == 1), (label, said)
    bought = [
        entry
        for entry in airflow_stack.emulator.ledger()["submissions"]
        if entry["accepted"] and any(run.run_id in str(entry["body"]) for run in runs)
    ]
    assert bought == []
