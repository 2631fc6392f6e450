"""Where tasks run and die: processes for their legs, and an emulator for each task that is under way."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import os
import queue
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from crash_cases import Case, Kind, Seen, wrong
from crash_tasks import Task
from crash_zygote import Lane, running_lanes

from airflow_ltx.emulator import FaultRule, RunningEmulator, Settings, running_emulator
from airflow_ltx.emulator.ledger import Submission
from airflow_ltx.emulator.resolution import VideoPlan
from segmind_service import KEY, connection

if TYPE_CHECKING:
    from servers.store import Store

_WIDTH = 4
"""More than cores: a task waits most of the time."""

_OFTEN = 3
_MOST_TOLD = 20

T = TypeVar("T")
R = TypeVar("R")

SLOW = FaultRule("status", "after", "status:PROCESSING")
"""One look finds the request unfinished, and the next one completed."""

LOST = FaultRule("submit", "after", "reset")
"""The answer to a submit is lost."""

LATE = FaultRule("history", "before", "200", times=2, body={"data": []})
"""Two looks into the history find nothing."""

NEVER = FaultRule("history", "before", "200", times=None, body={"data": []})
"""The history never tells."""

BROKEN = FaultRule("history", "before", "503", times=None)
"""The history cannot be read."""


@dataclass(frozen=True)
class Stand:
    """What one task at a time has for itself."""

    lane: Lane
    segmind: RunningEmulator


class Stage:
    """Runs tasks beside each other.

    :param films: Digests of the emulators' films, by request.
    :param store: Where tasks put their films that have a remote destination.
    """

    def __init__(
        self, stands: list[Stand], folder: Path, films: dict[str, str], store: Store | None = None
    ) -> None:
        self.films = films
        self._store = store
        self._folder = folder
        self._numbers = itertools.count()
        self._width = len(stands)
        self._free: queue.SimpleQueue[Stand] = queue.SimpleQueue()
        for stand in stands:
            self._free.put(stand)

    def steps(self, kind: Kind, *faults: FaultRule) -> list[list[str]]:
        """Those of each leg of a task that does not die."""
        return self.steps_after(Case(kind, {}), *faults)

    def steps_after(self, case: Case, *faults: FaultRule) -> list[list[str]]:
        """Those of each leg of a task that dies as ``case`` says; none of the legs that were killed."""
        with self._stand(faults) as stand:
            task, _ = self._run(stand, case, faults)
        return task.steps

    def play(self, cases: Iterable[Case], *faults: FaultRule) -> None:
        """Run them all, and fail with what is wrong with them."""
        told = [text for texts in self.each(cases, lambda case: self._judge(case, faults)) for text in texts]
        if told:
            pytest.fail("\n".join(told[:_MOST_TOLD]), pytrace=False)

    def each(self, of: Iterable[T], do: Callable[[T], R]) -> list[R]:
        """``do`` for all of them, several at a time."""
        with ThreadPoolExecutor(self._width) as pool:
            return list(pool.map(do, of))

    def _judge(self, case: Case, faults: tuple[FaultRule, ...]) -> list[str]:
        """What is wrong with one."""
        for _ in range(_OFTEN):
            with self._stand(faults) as stand:
                task, seen = self._run(stand, case, faults)
                if len(task.died) == len(case.deaths):
                    found = wrong(case, seen, task, bought(stand.segmind, task), self.films)
                    said = [f"{case}: {text}" for text in found]
                    return [*said, task.log] if said else []
        return [f"{case}: the step did not come"]

    def _run(self, stand: Stand, case: Case, faults: tuple[FaultRule, ...]) -> tuple[Task, Seen]:
        history = "silent" if NEVER in faults else "broken" if BROKEN in faults else "tells"
        seen = Seen(history, answers=LOST not in faults)
        task = self._task(stand, case.kind)
        task.deaths, task.ending, task.alone = case.deaths, case.ending, case.alone
        task.on_death = lambda: seen.at_death(task, bought(stand.segmind, task), self.films)
        task.go()
        return task, seen

    @contextmanager
    def _stand(self, faults: Iterable[FaultRule]) -> Iterator[Stand]:
        stand = self._free.get()
        try:
            stand.segmind.set_faults(SLOW, *faults)
            yield stand
        finally:
            self._free.put(stand)

    def _task(self, stand: Stand, kind: Kind) -> Task:
        """A task of its own prompt and folder."""
        number = next(self._numbers)
        home = self._folder / f"{self._folder.name}-{number}"
        environment = {"AIRFLOW_CONN_SEGMIND_DEFAULT": connection(stand.segmind.base_url)}
        prompt, folder = f"A lighthouse at dusk, {self._folder.name}, take {number}", f"file://{home}/videos"
        if kind.remote:
            assert self._store is not None
            environment |= self._store.environment
            folder = self._store.uri(home.name)
        task = Task(
            home, kind.operator, kind.arguments(prompt, folder), kind.task_state, environment, stand.lane.run
        )
        task.bucket = self._store if kind.remote else None
        return task


def bought(segmind: RunningEmulator, task: Task) -> list[Submission]:
    """What was bought for a task, as the ledger has it."""
    prompt = Kind.prompt(task.arguments)
    return [entry for entry in segmind.ledger.purchases() if (entry.body or {}).get("prompt") == prompt]


@functools.cache
def _frames() -> bytes:
    from airflow_ltx.emulator.video import render

    plan = VideoPlan("0" * 32, "film.mp4", "ltx-video", "a lighthouse", 0, 64, 64, 2, 24)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / plan.file_name
        render(plan, path)
        return path.read_bytes()


def small_films(patch: pytest.MonkeyPatch) -> dict[str, str]:
    """Have emulators serve small films, each another one; their digests, by request."""
    digests: dict[str, str] = {}

    def small(plan: VideoPlan, path: Path, stopped: Callable[[], bool]) -> int:
        # A box that players skip: enough bytes for three readings of a socket, and the request's own.
        own = plan.request_id.encode() * 5000
        film = _frames() + (8 + len(own)).to_bytes(4, "big") + b"free" + own
        digests[plan.request_id] = hashlib.sha256(film).hexdigest()
        return path.write_bytes(film)

    patch.setattr("airflow_ltx.emulator.files.render", small)
    return digests


@pytest.fixture(scope="session")
def stands() -> Iterator[list[Stand]]:
    settings = Settings(api_keys=frozenset({KEY}), queue_seconds=0.0, inference_seconds=0.0, prerender=False)
    with ExitStack() as stack:
        lanes = stack.enter_context(running_lanes(_WIDTH))
        yield [
            Stand(lane, stack.enter_context(running_emulator(dataclasses.replace(settings, seed=number))))
            for number, lane in enumerate(lanes)
        ]


@pytest.fixture
def stage(stands, monkeypatch) -> Iterator[Stage]:
    with _folder() as folder:
        yield Stage(stands, folder, small_films(monkeypatch))


@pytest.fixture(scope="module")
def bucket(tmp_path_factory) -> Iterator[Store]:
    """One of a storage server of this module's own."""
    pytest.importorskip("boto3", reason="needs boto3, which `make install` installs for the tests")
    from servers.ministack import MiniStack
    from servers.store import fresh_store

    missing = MiniStack.missing()
    if missing is not None:
        (pytest.fail if os.environ.get("LTX_REQUIRE_STORAGE") else pytest.skip)(missing)
    with MiniStack(tmp_path_factory.mktemp("ministack")) as server, fresh_store(server) as store:
        yield store


@pytest.fixture
def remote_stage(stands, bucket, monkeypatch) -> Iterator[Stage]:
    with _folder() as folder:
        yield Stage(stands, folder, small_films(monkeypatch), bucket)


@contextmanager
def _folder() -> Iterator[Path]:
    # In memory where there is a place for that: a disk's fsync would be most of the time, and no kill of a
    # process asks for it.
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(
        prefix="airflow-ltx-", dir=memory if os.access(memory, os.W_OK) else None
    ) as folder:
        yield Path(folder)
