from __future__ import annotations

from typing import Any

import pytest

from airflow_ltx.durability.record import Record
from airflow_ltx.durability.store import KEY, TaskStateRecordStore, record_store
from airflow_ltx.exceptions import SegmindError

RECORD = Record("the-id", "ltx-video", "f", 1_800_000_000.0, max_tries=3, try_number=1)


class State:
    """Airflow's task state of one task instance, in memory."""

    def __init__(self, kept: dict[str, Any] | None = None) -> None:
        self.kept = kept or {}
        self.retentions: list[Any] = []

    def get(self, key: str) -> Any:
        return self.kept.get(key)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.kept[key] = value
        self.retentions.append(retention)

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)


def test_an_airflow_without_task_state_has_no_store() -> None:
    assert record_store({}) is None
    assert record_store({"task_state_store": None}) is None
    assert record_store({"task_state_store": State()}) is not None


def test_a_record_is_kept_for_good_and_read_back() -> None:
    context = pytest.importorskip("airflow.sdk.execution_time.context")
    if not hasattr(context, "NEVER_EXPIRE"):
        pytest.skip("Airflow 3.2 has no task state")
    state = State()
    store = TaskStateRecordStore(state)
    assert store.read() is None
    store.write(RECORD)
    assert TaskStateRecordStore(state).read() == RECORD
    assert state.retentions == [context.NEVER_EXPIRE]
    store.clear()
    assert store.read() is None


@pytest.mark.parametrize("kept", [{"request_id": "the-id"}, {"version": 2, "id": "the-id"}, "text", [], {}])
def test_a_record_that_cannot_be_read_is_not_taken_for_no_record(kept: Any) -> None:
    """No record means: buy. A purchase noted by a newer version, or damaged, is still a purchase."""
    with pytest.raises(SegmindError, match="record"):
        TaskStateRecordStore(State({KEY: kept})).read()


def test_a_store_that_cannot_be_reached_is_not_taken_for_no_record() -> None:
    class Broken(State):
        def get(self, key: str) -> Any:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        TaskStateRecordStore(Broken()).read()
