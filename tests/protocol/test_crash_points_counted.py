"""The steps at which tasks die are all that there are."""

from __future__ import annotations

from crash_cases import Kind
from crash_points import name_of
from crash_stage import LATE, LOST, Stage


def both(*names):
    return {f"{name}, {when}" for name in names for when in ("before", "after")}


ON_FILES = both(
    *(
        f"the {whose}'s {part}"
        for whose in ("record", "video")
        for part in (
            *(f"temporary file: {verb}" for verb in ("open", "write", "sync")),
            *(f"folder: {verb}" for verb in ("open", "sync")),
        )
    ),
    "the record's folder: make",
    "the record's temporary file: rename",
    "the video's temporary file: link",
) | {"the record's file: read, before"}
OF_THE_SUBMIT = {
    f"the submit: {how_far}"
    for how_far in (
        "nothing is sent",
        "connected",
        "half of it is sent",
        "sent, its answer unread",
        "the head of its answer is read",
        "its answer is read",
    )
}
OF_THE_WAIT = {
    "the status: nothing is sent",
    "the status unfinished: its answer is read",
    "the status COMPLETED: its answer is read",
    "the result: nothing is sent",
    "the result: its answer is read",
}
OF_THE_DOWNLOAD = {
    "the download: nothing is sent",
    "the download: a piece is read",
    "the download: its answer is read",
}
OF_AIRFLOW = both("the task state: get", "the task state: set", "an XCom: push")
HANDED_OVER = both("the return value: handed over")
DEFERRED = both(
    "the deferral: handed over", "the event: handed over", "a pause of hold_until", "the record's file: read"
)
OF_THE_SEARCH = {"the history: nothing is sent", "the history: its answer is read"}

OF_EVERY_TASK = OF_AIRFLOW | ON_FILES | OF_THE_SUBMIT | OF_THE_WAIT | OF_THE_DOWNLOAD | HANDED_OVER


def seen(stage: Stage, kind, *faults) -> set[str]:
    return {name_of(step) for leg in stage.steps(kind, *faults) for step in leg}


def test_of_a_task_that_waits_in_the_triggerer(stage):
    assert seen(stage, Kind()) >= OF_EVERY_TASK | DEFERRED | both("a pause of async_wait_for_end")


def test_of_a_task_that_waits_on_the_worker(stage):
    assert seen(stage, Kind(deferrable=False)) >= OF_EVERY_TASK | both("a pause of wait_for_end")


def test_of_a_search(stage):
    deferred = seen(stage, Kind(), LOST, LATE)
    assert deferred >= OF_THE_SEARCH | DEFERRED | both("a pause of alook_up")
    assert seen(stage, Kind(deferrable=False), LOST, LATE) >= OF_THE_SEARCH | both("a pause of look_up")
