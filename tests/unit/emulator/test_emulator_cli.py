"""``python -m airflow_ltx.emulator`` as a process."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from airflow_ltx.emulator import cli


def command(*arguments):
    return [sys.executable, "-m", "airflow_ltx.emulator", *map(str, arguments)]


@contextmanager
def started(tmp_path, *arguments):
    ready = tmp_path / "ready.json"
    process = subprocess.Popen(
        command("--port=0", f"--ready-file={ready}", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process, json.loads(ready.read_text())
    finally:
        process.kill()
        process.communicate()


def post(base_url, key="SG_secretsecret"):
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{base_url}/v2/ltx-video",
        b'{"prompt": "a pond"}',
        {"x-api-key": key, "content-type": "application/json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as response:
        return json.load(response)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_writes_its_book_at_the_end(tmp_path, number):
    ledger = tmp_path / "ledger.json"
    with started(
        tmp_path, f"--ledger={ledger}", "--seed=3", "--price=ltx-video=0.0575", "--inference-seconds=0-0.001",
        "--queue-seconds=0", "--api-key=SG_secretsecret",
    ) as (process, ready):  # fmt: skip
        assert ready["pid"] == process.pid
        request_id = post(ready["base_url"])["request_id"]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            post(ready["base_url"], key="SG_other")
        time.sleep(0.05)
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")
    assert output.count("\n") == 1
    assert ready["base_url"] in output
    assert "SG_secretsecret" not in output
    book = json.loads(ledger.read_text())
    assert (book["billed"], book["billed_requests"], book["submits"]) == (0.0575, [request_id], 2)
    assert "SG_secretsecret" not in ledger.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger.json"]


def test_a_taken_port_is_one_clear_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            command(f"--port={port}"), capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"segmind emulator: port {port} is taken; choose another with --port\n"


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for option in (
        "--host", "--port", "--ready-file", "--ledger", "--seed", "--api-key", "--queue-seconds",
        "--inference-seconds", "--credits", "--rpm", "--price", "--fault", "truncate:<bytes>", "--outputs",
        "--history-lag-seconds", "--record-lag-seconds", "--upload-limit", "--upload-shape", "--reset-format",
        "--least-bytes",
    ):  # fmt: skip
        assert option in text


@pytest.mark.parametrize(
    "argument",
    [
        "--fault=submit:never:503", "--queue-seconds=soon", "--credits=-1", "--rpm=0", "--price=x",
        "--outputs=0", "--history-lag-seconds=-1", "--upload-limit=-1", "--upload-shape=list",
        "--least-bytes=-1", "--least-bytes=4294967296",
    ],
)  # fmt: skip
def test_a_wrong_argument_is_refused_before_anything_starts(argument, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([argument])
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_the_options_reach_the_settings():
    arguments = [
        "--outputs=2", "--history-lag-seconds=3", "--record-lag-seconds=4", "--upload-limit=5",
        "--upload-shape=urls", "--reset-format=epoch_ms", "--least-bytes=6",
    ]  # fmt: skip
    settings = cli._settings(cli._parser().parse_args(arguments))
    assert (settings.outputs, settings.history_lag_seconds, settings.record_lag_seconds) == (2, 3, 4)
    assert (settings.upload_limit, settings.upload_shape, settings.reset_format) == (5, "urls", "epoch_ms")
    assert settings.least_bytes == 6


def test_without_its_packages_it_names_the_extra(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "av" else object())
    assert cli.main([]) == 2
    assert capsys.readouterr().err == (
        "segmind emulator: av not found; install airflow-provider-ltx[emulator]\n"
    )


def test_the_package_and_its_core_load_none_of_the_servers_packages():
    code = (
        "import sys; from airflow_ltx.emulator import EmulatorCore, Settings, FaultRule, running_emulator;"
        "print([m for m in ('aiohttp', 'av', 'PIL', 'airflow', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_two_starts_without_a_seed_mint_other_ids():
    parse = cli._parser().parse_args
    assert cli._settings(parse([])).seed != cli._settings(parse([])).seed
    assert cli._settings(parse(["--seed=0"])).seed == 0
