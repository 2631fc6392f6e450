"""Small services that are up in a moment; the real ones are in tests/system/test_compose.py."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from local_airflow import StackError
from local_compose import LocalCompose

FILE = """
services:
  folder:
    image: python:3.12.12
    command: [python, -c, "open('/out/ready.txt', 'w').write(open('/in/text').read())"]
    volumes: ["./in:/in:ro", "./out:/out"]
  server:
    image: python:3.12.12
    command: [python, -m, http.server, --bind=0.0.0.0, --directory=/out, "8000"]
    volumes: ["./out:/out"]
    ports: ["127.0.0.1:8000:8000"]
    healthcheck:
      test: [CMD, python, -c, "from urllib.request import urlopen; urlopen('http://localhost:8000/ready.txt')"]
    depends_on: {folder: {condition: service_completed_successfully}}
"""


def compose(tmp_path: Path, *change: str, **settings: float) -> LocalCompose:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "text").write_text("from the checkout")
    file = tmp_path / "docker-compose.yaml"
    file.write_text(FILE.replace(*change) if change else FILE)
    return LocalCompose(file, **settings)


def test_services_run_in_their_order_with_their_folders_and_ports(tmp_path):
    stack = compose(tmp_path)
    assert not stack.healthy("server")
    with stack:
        assert stack.healthy("server")
        assert (stack.folder("./out") / "ready.txt").read_text() == "from the checkout"
        assert stack.url("server", 8000) != "http://127.0.0.1:8000"
    assert not stack.healthy("server")
    assert stack.pids() == []
    assert not (tmp_path / "out").exists()
    stack.remove()
    assert not stack.home.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("'/in/text'", "'/in/none'"), "folder ended with code 1.*No such file"),
        (("http.server", "json.tool"), "server ended with code 2.*json.tool"),
    ],
)
def test_a_service_that_fails_is_named_with_its_last_words_and_nothing_stays(tmp_path, change, message):
    stack = compose(tmp_path, *change)
    with pytest.raises(StackError, match=f"(?s){message}"):
        stack.up()
    assert stack.pids() == []
    stack.remove()


def test_what_never_gets_healthy_is_named_and_ended(tmp_path):
    stack = compose(tmp_path, "ready.txt')\"]\n    d", "other.txt')\"]\n    d", boot_timeout=2.0)
    started = time.monotonic()
    with pytest.raises(StackError, match="Not up after 2 s: server"):
        stack.up()
    assert time.monotonic() - started < 10
    assert stack.pids() == []
    stack.remove()


def test_a_service_that_ends_by_itself_is_missed(tmp_path):
    stack = compose(tmp_path)
    with stack:
        stack.check()
        (pid,) = stack.pids()

        os.kill(pid, signal.SIGKILL)
        while stack.pids():
            time.sleep(0.05)
        with pytest.raises(StackError, match="server ended with code -9"):
            stack.check()
        assert not stack.healthy("server")
        stack.stop("server")
        stack.start("server")
        assert stack.healthy("server")
    stack.remove()
