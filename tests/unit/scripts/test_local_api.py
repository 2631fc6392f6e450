from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from local_airflow.api import AirflowApi
from local_airflow.errors import ApiError, StackError


class Script(BaseHTTPRequestHandler):
    """Answers from a list, the last one for ever; the token route always works."""

    answers: ClassVar[list[tuple[int, object]]] = []
    seen: ClassVar[list[str]] = []

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/auth/token":
            self._send(201, {"access_token": "t"})
            return
        assert self.headers["Authorization"] == "Bearer t"
        self.seen.append(f"{self.command} {self.path}")
        self._send(*(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]))

    do_GET = do_POST = do_PATCH = _answer

    def _send(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def api() -> Iterator[AirflowApi]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Script)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Script.seen.clear()
    yield AirflowApi(f"http://127.0.0.1:{server.server_address[1]}", "admin", "password")
    server.shutdown()
    server.server_close()


def test_a_read_is_repeated_through_a_hiccup(api: AirflowApi):
    Script.answers = [(500, {"detail": "database is locked"}), (200, {"state": "running"})]
    assert api.run_state("d", "r") == "running"
    assert len(Script.seen) == 2


def test_a_write_is_not(api: AirflowApi):
    Script.answers = [(500, {"detail": "locked"})]
    with pytest.raises(ApiError, match="locked") as caught:
        api.trigger_run("d")
    assert caught.value.status == 500
    assert Script.seen == ["POST /api/v2/dags/d/dagRuns"]


def test_names_are_quoted(api: AirflowApi):
    Script.answers = [(200, {"state": "running"})]
    api.run_state("d", "manual__2026-01-01T00:00:00+00:00")
    assert Script.seen == ["GET /api/v2/dags/d/dagRuns/manual__2026-01-01T00%3A00%3A00%2B00%3A00"]


def test_a_dead_process_is_a_better_reason_than_a_refused_connection(api: AirflowApi):
    def watch() -> None:
        raise StackError("the api-server died")

    api.watch = watch
    Script.answers = [(503, {})]
    with pytest.raises(StackError, match="died"):
        api.run_state("d", "r")


def test_waiting_too_long_names_the_tasks(api: AirflowApi):
    Script.answers = [(200, {"state": "running", "task_instances": [], "total_entries": 0})]
    with pytest.raises(StackError, match="d run r is running after 0 s"):
        api.wait_for_run("d", "r", timeout=0)


def test_nobody_there():
    api = AirflowApi("http://127.0.0.1:1", "admin", "password")
    assert api.health() is None
    assert api.serves_workers() is False
    with pytest.raises(ApiError, match="did not answer"):
        api.token()
