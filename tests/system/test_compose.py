"""docker-compose.yaml run without docker: every service's own command, environment and health check."""

from __future__ import annotations

import json
import stat
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import psutil
import pytest

from local_airflow import AirflowApi, ApiError
from local_compose import LocalCompose
from showcase.video import inspect

FILE = Path(__file__).resolve().parents[2] / "docker-compose.yaml"
DAG = "ltx_text_to_video"


@dataclass(frozen=True)
class Demo:
    """What `docker compose up` would leave running, and what the health checks said before it."""

    compose: LocalCompose
    healthy_before: dict[str, bool]

    def api(self, *login: str) -> AirflowApi:
        user, password = login or ("demo", "demo")
        api = AirflowApi(self.compose.url("api-server", 8080), user, password)
        api.watch = self.compose.check
        return api

    def emulator(self, what: str, body: Any = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.compose.url('emulator', 8787)}/_emulator/{what}",
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            return json.loads(response.read())


@pytest.fixture(scope="module")
def demo(request: pytest.FixtureRequest) -> Iterator[Demo]:
    compose = LocalCompose(FILE)
    checked = [name for name, service in compose.services.items() if service.test is not None]
    healthy_before = {name: compose.healthy(name) for name in checked}
    with compose:
        yield Demo(compose, healthy_before)
    assert compose.pids() == []
    assert not any(compose.healthy(name) for name in checked)
    # Its logs are worth more than its disk space when something failed.
    if not request.session.testsfailed:
        compose.remove()


def test_no_health_check_is_content_before_its_service_runs(demo):
    assert len(demo.healthy_before) == 7
    assert not any(demo.healthy_before.values())
    assert all(demo.compose.healthy(name) for name in demo.healthy_before)


def test_the_example_dag_ends_in_its_video(demo):
    # The file's pace is for people who want to see a task wait.
    demo.emulator("settings", {"queue_seconds": 0.2, "inference_seconds": 1})
    before = len(demo.emulator("ledger")["submissions"])
    api = demo.api()
    deadline = time.monotonic() + 60
    while not api.dag_is_parsed(DAG):
        assert time.monotonic() < deadline, api.import_errors()
        time.sleep(0.2)
    assert api.import_errors() == []
    api.unpause(DAG)
    run_id = api.trigger_run(DAG)
    state = api.wait_for_run(DAG, run_id, timeout=120)
    assert state == "success", api.task_log(DAG, run_id, "make_video")
    (bought,) = demo.emulator("ledger")["submissions"][before:]
    assert bought["outcome"] == "COMPLETED"
    output = demo.compose.folder("./demo-output")
    (file,) = output.glob("*.mp4")
    facts = inspect(file)
    assert (facts.codec, facts.width, facts.height, facts.frames) == ("h264", 768, 512, 97)
    result = api.xcoms(DAG, run_id, "make_video")["return_value"]
    assert result["request_id"] == bought["request_id"] == file.stem
    assert result["bytes"] == facts.size
    assert result["uri"] == f"file://{file}"
    # In a container its writer is another user than the folder's owner.
    assert stat.S_IMODE(output.stat().st_mode) == 0o777


def test_the_login_needs_its_password(demo):
    assert demo.api().token()
    with pytest.raises(ApiError) as refused:
        demo.api("demo", "not the password").token()
    assert refused.value.status == 401


def test_the_aws_connection_reaches_the_bucket(demo):
    connection = json.loads(demo.compose.environment("scheduler")["AIRFLOW_CONN_AWS_DEFAULT"])
    client = botocore.session.get_session().create_client(
        "s3",
        aws_access_key_id=connection["login"],
        aws_secret_access_key=connection["password"],
        **connection["extra"],
    )
    client.put_object(Bucket="ltx-videos", Key="folder/video.mp4", Body=b"bytes")
    assert client.get_object(Bucket="ltx-videos", Key="folder/video.mp4")["Body"].read() == b"bytes"


def test_a_service_that_stopped_is_not_healthy_until_it_is_back(demo):
    demo.compose.stop("emulator")
    assert not demo.compose.healthy("emulator")
    demo.compose.start("emulator")
    assert demo.compose.healthy("emulator")


def test_nothing_listens_beyond_loopback(demo):
    listening = set()
    for pid in demo.compose.pids():
        # A task's supervisor hides itself even from its own user; it serves nobody.
        with suppress(psutil.AccessDenied, psutil.NoSuchProcess):
            sockets = psutil.Process(pid).net_connections()
            listening |= {socket.laddr for socket in sockets if socket.status == psutil.CONN_LISTEN}
    assert {address.port for address in listening} == set(demo.compose.ports.values())
    assert {address.ip for address in listening} == {"127.0.0.1"}
