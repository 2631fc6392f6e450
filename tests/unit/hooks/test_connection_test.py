"""What a person at the connection form is told, for each way in which a service cannot be had."""

from __future__ import annotations

import inspect

import pytest

from airflow_ltx import exceptions as e
from airflow_ltx.hooks import _connection_test
from airflow_ltx.hooks._connection_test import explain, try_connection
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.segmind.async_client import AsyncSegmindClient
from airflow_ltx.segmind.client import SegmindClient
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.protocol import ApiResponse, read_credits

KEY = "SG_0123456789abcdef"
CALLS = ("submit", "run_sync", "status", "result", "credits", "history_entry", "upload")
HTTPS = ClientConfig(api_key=KEY)
HTTP = ClientConfig(api_key=KEY, base_url="http://127.0.0.1:8787")


def told(status, body=b"", headers=None, *, config=HTTPS):
    with pytest.raises(e.SegmindError) as caught:
        read_credits(ApiResponse(status, headers or {}, body, secret=KEY))
    return explain(caught.value, config)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, b'{"error": "API key is invalid"}'), ["refused the API key", "API key is invalid"]),
        ((403, b'{"error": "team"}'), ["does not let this key", "team"]),
        ((403, b"<html>blocked"), ["proxy or a firewall", "an HTML page"]),
        ((407, b"<html>"), ["The proxy of this machine", "HTTP 407", "HTTPS_PROXY"]),
        ((429, b"", {"retry-after": "17"}), ["limit of requests per minute", "in 17 s"]),
        ((429, b""), ["limit of requests per minute", "in a minute"]),
        ((500, b"<html>"), ["trouble of its own", "HTTP 500"]),
        ((503, b""), ["trouble of its own", "HTTP 503", "few minutes"]),
        ((200, b"<html>hello"), ["not as Segmind does", "an HTML page", "https://api.segmind.com"]),
        ((200, b""), ["not as Segmind does", "HTTP 200"]),
        ((200, b"\x1f\x8b\x00\x07garbage"), ["not as Segmind does", "garbage"]),
        ((404, b"<html>"), ["not as Segmind does", "HTTP 404"]),
        ((404, b'{"error": "Not found"}'), ["not as Segmind does", "Not found"]),
        ((302, b"", {"location": "https://login.example/?token=SECRET"}), ["elsewhere", "https://login.example/"]),
        ((400, b"plain HTTP request sent to HTTPS port"), ["not as Segmind does"]),
    ],
)  # fmt: skip
def test_each_answer_that_is_no_balance_has_its_own_words(answer, says):
    said = told(*answer)
    for words in says:
        assert words in said
    assert len(said) < 400
    assert "SECRET" not in said
    assert "\x00" not in said


@pytest.mark.parametrize("trouble", e.Trouble)
@pytest.mark.parametrize("config", [HTTPS, HTTP])
@pytest.mark.parametrize("kind", [e.NotSent, e.ServiceUnavailable, e.ConfigurationError])
def test_each_trouble_of_the_network_has_its_own_words(trouble, config, kind):
    error = kind("x")
    error.trouble, error.said = trouble, "ConnectError: broke so"
    said = explain(error, config)
    assert config.base_url.partition("://")[2] in said
    assert ("broke so" in said) is (trouble is not e.Trouble.TIMEOUT)
    assert len(said) < 400
    others = set()
    for other in e.Trouble:
        error.trouble = other
        others.add(explain(error, config))
    assert len(others) == len(e.Trouble)


@pytest.mark.parametrize("status", [302, 400])
def test_a_plain_connection_to_a_tls_port_is_thought_of(status):
    assert "write https://" in told(status, b"", config=HTTP)
    assert "write https://" not in told(status, b"", config=HTTPS)


def test_what_nobody_thought_of_is_told_without_the_key():
    said = explain(RuntimeError(f"broke with {KEY}"), HTTPS)
    assert said == "RuntimeError: broke with ***"


def test_the_answer_comes_in_time_whatever_hangs(monkeypatch):
    """A look-up of a name, for one, knows no time limit."""
    import threading
    import time

    hanging = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **kwargs: hanging.wait(20) and [])
    begun = time.monotonic()
    ok, said = try_connection(ClientConfig(api_key=KEY, base_url="https://hangs.invalid"), limit=0.3)
    hanging.set()
    assert (ok, "did not answer in time" in said) == (False, True)
    assert time.monotonic() - begun < 5


def test_the_limit_is_what_a_person_waits_for():
    assert _connection_test.TEST_LIMIT == 10.0


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"password": ""}, "No API key"),
        ({"password": "SG_ 1"}, "no HTTP header can carry"),
        ({"host": "ftp://api.segmind.com"}, "must look like https://api.segmind.com"),
        ({"host": "https://[::1"}, "malformed"),
        ({"host": "http://api.segmind.com"}, "in clear"),
        ({"extra": '{"timeout": "soon"}'}, "timeout is some other text; it must be a number"),
    ],
)
def test_a_connection_that_cannot_work_is_told_without_its_passing_name(monkeypatch, fields, says):
    """The form tests a copy of the connection under a name that nobody has seen."""
    import json

    connection = {"conn_type": "segmind", "password": KEY, **fields}
    monkeypatch.setenv("AIRFLOW_CONN_XQZJW", json.dumps(connection))
    ok, said = SegmindHook("xqzjw").test_connection()
    assert not ok
    assert says in said
    assert "xqzjw" not in said
    assert "Nothing was sent" not in said
    assert KEY not in said


def test_every_call_of_the_client_is_one_of_the_hook_in_both_ways():
    own = {"close", "config"}
    calls = {name for name in vars(SegmindClient) if not name.startswith("_")} - own
    assert calls >= {
        "submit",
        "run_sync",
        "status",
        "result",
        "credits",
        "history",
        "history_entry",
        "upload",
    }
    for name in calls:
        assert inspect.iscoroutinefunction(getattr(AsyncSegmindClient, name))
        assert not inspect.iscoroutinefunction(getattr(SegmindHook, name))
        assert inspect.iscoroutinefunction(getattr(SegmindHook, f"a{name}"))


@pytest.mark.parametrize(
    "name", ["submit", "run_sync", "status", "result", "credits", "history_entry", "upload"]
)
def test_both_ways_take_the_same_arguments(name):
    def taken(method):
        return [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]

    assert taken(getattr(SegmindHook, name)) == taken(getattr(SegmindHook, f"a{name}"))


def test_the_history_takes_the_same_filters_in_both_ways():
    from airflow_ltx.segmind.history import HistoryFilters, history_query

    filters = set(HistoryFilters.__annotations__)
    assert set(inspect.signature(SegmindHook.history).parameters) == {"self", *filters}
    assert set(inspect.signature(history_query).parameters) == {"now", *filters}


@pytest.mark.parametrize("trouble", [e.Trouble.NAME, e.Trouble.REFUSED, e.Trouble.TIMEOUT])
def test_a_proxy_of_the_environment_is_thought_of(trouble, monkeypatch):
    error = e.NotSent("x")
    error.trouble, error.said = trouble, "broke"
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert "_PROXY" not in explain(error, HTTPS)
    monkeypatch.setenv("HTTPS_PROXY", "http://user:PASSWORD@proxy.example:3128")
    assert "HTTPS_PROXY" in explain(error, HTTPS)
    assert "PASSWORD" not in explain(error, HTTPS)
    monkeypatch.setenv("NO_PROXY", "api.segmind.com")
    assert "_PROXY" not in explain(error, HTTPS)
