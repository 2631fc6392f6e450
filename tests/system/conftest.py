"""A real Airflow and a local Segmind for tests, and their logs beside whatever fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from servers.ministack import MiniStack
from servers.store import Store, fresh_store

from local_airflow import COMPONENTS, TRIGGERER, LocalAirflow, TaskInstance, tail
from local_emulator import LocalEmulator
from showcase.service import Service
from statsd_listener import StatsdListener

pytest.register_assert_rewrite("scenario")

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "dags_examples"
INFERENCE = 2.0


@dataclass(frozen=True)
class Run:
    """A finished run."""

    dag_id: str
    run_id: str
    state: str
    tasks: list[TaskInstance]


@dataclass(frozen=True)
class Stack:
    """What the session shares: `output` is where the example DAGs put their videos, `bucket` where those put
    them that are landed by the triggerer."""

    airflow: LocalAirflow
    emulator: LocalEmulator
    output: Path
    bucket: Store
    metrics: StatsdListener

    def run(self, dag_id: str, conf: Mapping[str, Any] | None = None, *, timeout: float = 180) -> Run:
        """Run a DAG once and return how it ended, green or not."""
        api = self.airflow.api
        self.airflow.wait_for_dags(dag_id)
        api.unpause(dag_id)
        run_id = api.trigger_run(dag_id, conf)
        state = api.wait_for_run(dag_id, run_id, timeout=timeout)
        return Run(dag_id, run_id, state, api.task_instances(dag_id, run_id))

    def logs(self, run: Run) -> str:
        """Every task's last try, for an assertion's message."""
        api = self.airflow.api
        return "\n".join(
            f"--- {task.label} ({task.state})\n"
            + api.task_log(
                run.dag_id, run.run_id, task.task_id, try_number=task.try_number, map_index=task.map_index
            )
            for task in run.tasks
            if task.try_number
        )


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    assert MiniStack.missing() is None, MiniStack.missing()
    with MiniStack(tmp_path_factory.mktemp("ministack")) as server, fresh_store(server) as store:
        yield store


@pytest.fixture(scope="session")
def airflow_stack(tmp_path_factory: pytest.TempPathFactory, bucket: Store) -> Iterator[Stack]:
    output = tmp_path_factory.mktemp("videos")
    folders = [folder for folder in (EXAMPLES, HERE / "dags") if folder.is_dir()]
    with (
        StatsdListener() as metrics,
        LocalEmulator(
            queue_seconds=0.5, inference_seconds=INFERENCE, home=tmp_path_factory.mktemp("emulator")
        ) as emulator,
    ):
        service = Service(base_url=emulator.base_url, key=emulator.key, emulated=True)
        airflow = LocalAirflow(
            folders,
            home=tmp_path_factory.mktemp("airflow"),
            env={
                "AIRFLOW_CONN_SEGMIND_DEFAULT": service.connection(),
                "AIRFLOW_CONN_SEGMIND_WRONG_KEY": replace(service, key="not-the-key").connection(),
                "AIRFLOW_CONN_SEGMIND_HASTY": json.dumps(
                    {**json.loads(service.connection()), "extra": {"timeout": 1}}
                ),
                "AIRFLOW_VAR_LTX_DESTINATION": f"file://{output}/",
                "AIRFLOW_VAR_LTX_BUCKET": bucket.uri(),
                **bucket.environment,
                **metrics.environment,
            },
        )
        with airflow:
            yield Stack(airflow, emulator, output, bucket, metrics)


@pytest.fixture
def airflow(tmp_path: Path, service: LocalEmulator, bucket: Store) -> Iterator[LocalAirflow]:
    """One with nothing but its database, and an emulator that the test's module sets up as `service`; a
    triggerer can be started."""
    dags = tmp_path / "dags"
    dags.mkdir()
    segmind = Service(base_url=service.base_url, key=service.key, emulated=True)
    home = LocalAirflow(
        dags,
        home=tmp_path / "airflow",
        env={"AIRFLOW_CONN_SEGMIND_DEFAULT": segmind.connection(), **bucket.environment},
    )
    home.prepare()
    yield home
    home.stop()


@pytest.fixture
def inference(airflow_stack: Stack) -> Iterator[Callable[[float], None]]:
    """Sets how long the requests run that are submitted from then on."""
    yield lambda seconds: airflow_stack.emulator.configure(inference_seconds=seconds)
    airflow_stack.emulator.configure(inference_seconds=INFERENCE)


@pytest.fixture
def triggerer(airflow_stack: Stack) -> Iterator[LocalAirflow]:
    """The stack, whose one triggerer may be killed."""
    airflow = airflow_stack.airflow
    yield airflow
    airflow.revive(TRIGGERER)


@pytest.fixture
def start_second(triggerer: LocalAirflow) -> Iterator[Callable[[], None]]:
    """Starts another triggerer beside the one."""
    name = "second-triggerer"
    yield lambda: triggerer.start_another(TRIGGERER, name)
    triggerer.stop_component(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.system)


def _airflows(item: pytest.Item) -> list[LocalAirflow]:
    values = getattr(item, "funcargs", {}).values()
    found = [value.airflow if isinstance(value, Stack) else value for value in values]
    return [value for value in found if isinstance(value, LocalAirflow)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    if report.failed:
        for airflow in _airflows(item):
            for component in COMPONENTS:
                log = airflow.log(component)
                report.sections.append((f"{component}, the end of {log}", tail(log)))
    return report
