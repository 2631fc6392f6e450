from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.durability.beside import FileStore, Whose
from airflow_ltx.durability.record import Phase, Purchase, Record, later
from airflow_ltx.durability.store import Everywhere
from airflow_ltx.durability.task_state import KEY, TaskStateStore, task_state
from airflow_ltx.exceptions import ConfigurationError, RecordUnavailable
from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.place import place_of

PURCHASE = Purchase(Phase.INTENT, "f", "ltx-video", 1_800_000_000.0, {"prompt": "m"}, try_number=1)
RECORD = Record().updated(PURCHASE, 3)
WHOSE = Whose("dag", "run", "task", -1)


def store_in(folder: Path) -> FileStore:
    destination = parse_destination(f"file://{folder}/")
    return FileStore(place_of(destination), destination.directory, WHOSE)


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


class Away:
    def get(self, key: str) -> Any:
        raise ConnectionError("the api-server is away")

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        raise ConnectionError("the api-server is away")


@pytest.fixture
def _task_state_exists() -> None:
    context = pytest.importorskip("airflow.sdk.execution_time.context")
    if not hasattr(context, "NEVER_EXPIRE"):
        pytest.skip("this Airflow has no task state: 3.3 has")


def test_an_airflow_without_task_state_has_no_store() -> None:
    assert task_state({}) is None
    assert task_state({"task_state_store": None}) is None
    assert task_state({"task_state_store": State()}) is not None


@pytest.mark.usefixtures("_task_state_exists")
def test_a_record_is_kept_for_good_and_read_back() -> None:
    from airflow.sdk.execution_time.context import NEVER_EXPIRE

    state = State()
    store = TaskStateStore(state)
    assert store.read() is None
    store.write(RECORD)
    assert TaskStateStore(state).read() == RECORD
    assert state.retentions == [NEVER_EXPIRE]


@pytest.mark.parametrize(
    "kept", [{"request_id": "the-id"}, {"version": 3}, {"version": 2}, "text", [], {}, 7]
)
def test_what_is_no_record_is_not_taken_for_none(kept: Any, tmp_path: Path) -> None:
    """None means: buy. A purchase noted by a newer version, or damaged, is still a purchase."""
    with pytest.raises(ConfigurationError, match="holds no record that this version can read"):
        TaskStateStore(State({KEY: kept})).read()


@pytest.mark.usefixtures("_task_state_exists")
def test_a_task_state_that_cannot_be_reached_is_not_taken_for_none() -> None:
    with pytest.raises(RecordUnavailable, match="the api-server is away"):
        TaskStateStore(Away()).read()
    with pytest.raises(RecordUnavailable, match="the api-server is away"):
        TaskStateStore(Away()).write(RECORD)


def test_a_file_beside_the_videos_is_written_whole_and_read_back(tmp_path: Path) -> None:
    store = store_in(tmp_path / "videos")
    assert store.read() is None
    store.write(RECORD)
    store.write(replace(RECORD, revision=9))
    assert store_in(tmp_path / "videos").read() == replace(RECORD, revision=9)
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["_segmind"]
    assert [path.name for path in (tmp_path / "videos" / "_segmind").iterdir()] == [WHOSE.file_name]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'{"version": 2}'])
def test_a_file_that_is_no_record_is_not_taken_for_none(content: bytes, tmp_path: Path) -> None:
    store = store_in(tmp_path)
    Path(store.path).parent.mkdir()
    Path(store.path).write_bytes(content)
    with pytest.raises(ConfigurationError, match="holds no record"):
        store.read()


def test_below_a_file_there_is_no_record_and_none_can_be_written(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    (tmp_path / "_segmind").write_text("a file")
    assert store.read() is None
    with pytest.raises(RecordUnavailable):
        store.write(RECORD)


def test_a_record_that_is_a_folder_is_not_taken_for_none(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    Path(store.path).mkdir(parents=True)
    with pytest.raises(RecordUnavailable, match="Is a directory"):
        store.read()


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_file_without_permission_is_not_taken_for_none() -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        store = store_in(Path(folder))
        store.write(RECORD)
        Path(store.path).chmod(0)
        with as_nobody(), pytest.raises(RecordUnavailable, match="Permission denied"):
            store.read()


names = st.text(min_size=1, max_size=300)


@given(
    st.builds(Whose, names, names, names, st.integers(-1, 9)),
    st.builds(Whose, names, names, names, st.just(0)),
)
def test_each_task_instance_has_a_file_of_its_own_with_a_name_for_any_file_system(
    one: Whose, other: Whose
) -> None:
    assert (one.file_name == other.file_name) is (one == other)
    assert len(one.file_name) < 200
    assert one.file_name.isascii()
    assert not set(one.file_name) & set('/\\:*?"<>| ')


@pytest.mark.usefixtures("_task_state_exists")
def test_a_record_is_written_to_every_place_also_past_one_that_fails(tmp_path: Path) -> None:
    file = store_in(tmp_path)
    errors = Everywhere([TaskStateStore(Away()), file]).write(RECORD)
    assert [type(error) for error in errors] == [RecordUnavailable]
    assert file.read() == RECORD


@given(st.integers(0, 5), st.integers(0, 5))
def test_the_copy_that_was_written_last_counts(one: int, other: int) -> None:
    assert later(replace(RECORD, revision=one), Record(revision=other)).revision == max(one, other)


def test_what_killed_writers_left_beside_the_records_goes_and_what_is_being_written_stays(
    tmp_path: Path,
) -> None:
    store = store_in(tmp_path)
    folder = Path(store.path).parent
    folder.mkdir()
    old, young = (folder / f".airflow-ltx-{name}.part" for name in ("old", "young"))
    for part in (old, young):
        part.write_bytes(b"{")
    os.utime(old, (0, 0))
    store.write(RECORD)
    assert sorted(folder.iterdir()) == sorted([young, Path(store.path)])
    assert store.read() == RECORD
