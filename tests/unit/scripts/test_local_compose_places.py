from __future__ import annotations

from pathlib import Path

import pytest

from local_compose.places import Places

PORTS = {("api-server", 8080): 1001, ("postgres", 5432): 1002, ("emulator", 8787): 1003}
FOLDERS = {"/opt/airflow": Path("/tmp/home"), "/opt/airflow/videos": Path("/tmp/videos")}  # noqa: S108


def places(own: str = "scheduler") -> Places:
    return Places(own, PORTS, FOLDERS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql+psycopg2://airflow:demo@postgres:5432/airflow", "127.0.0.1:1002/airflow"),
        ('{"host": "http://emulator:8787", "password": "k"}', '"http://127.0.0.1:1003", "password": "k"}'),
        ('urlopen("http://api-server:8080/api/v2/x")', 'urlopen("http://127.0.0.1:1001/api/v2/x")'),
    ],
)
def test_a_services_name_and_port_become_an_address_of_loopback(text, expected):
    assert places().translate(text).endswith(expected)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_a_service_that_means_itself_gets_its_own_port(host):
    assert places("emulator").translate(f"http://{host}:8787/health") == "http://127.0.0.1:1003/health"


@pytest.mark.parametrize("text", ["http://postgres:5433/", "http://localhost:8080/", "ftp://emulator:80"])
def test_an_address_at_which_nobody_listens_is_an_error(text):
    with pytest.raises(ValueError, match="a port that nobody opens or exposes"):
        places().translate(text)


@pytest.mark.parametrize(
    "text",
    ["my-postgres:5432", "demo:admin", "postgres", "12:30", "emulator.example:8787", "8787", "--port=8787"],
)
def test_what_only_looks_like_an_address_stays(text):
    assert places().translate(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8787", "1003"),
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104
        ("--port=8787", "--port=1003"),
        ("--host=0.0.0.0", "--host=127.0.0.1"),
        ("exec it --host=0.0.0.0 --port=8787\n", "exec it --host=127.0.0.1 --port=1003\n"),
        ("--port=87870", "--port=87870"),
        ("--size=8788", "--size=8788"),
        ("wait 8787", "wait 8787"),
    ],
)
def test_host_and_port_of_a_server_may_stand_apart(text, expected):
    assert places("emulator").translate(text) == expected


def test_nothing_may_listen_on_every_interface():
    with pytest.raises(ValueError, match="every interface"):
        places("emulator").translate("serve on 0.0.0.0")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("file:///opt/airflow/videos/", "file:///tmp/videos/"),
        ("/opt/airflow/passwords.json", "/tmp/home/passwords.json"),  # noqa: S108
        ("/opt/airflow", "/tmp/home"),  # noqa: S108
        ("/opt/airflow/videos-old", "/tmp/home/videos-old"),  # noqa: S108
        ("/opt/airflow2/x", "/opt/airflow2/x"),
        ("/srv/opt/airflow", "/srv/opt/airflow"),
    ],
)
def test_a_folder_of_the_container_becomes_one_of_this_machine(text, expected):
    assert places().translate(text) == expected
