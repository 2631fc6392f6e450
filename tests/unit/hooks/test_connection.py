"""From the ways people write a connection to what the client gets."""

from __future__ import annotations

import json

import pytest
from airflow.sdk import Connection

from airflow_ltx.exceptions import ConfigurationError
from airflow_ltx.hooks._connection import client_config

KEY = "SG_0123456789abcdef"


def config(**fields):
    return client_config(Connection(**{"conn_id": "c", "conn_type": "segmind", "password": KEY, **fields}))


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({}, "https://api.segmind.com"),
        ({"host": ""}, "https://api.segmind.com"),
        ({"host": "api.segmind.com"}, "https://api.segmind.com"),
        ({"host": "https://api.segmind.com/v1/"}, "https://api.segmind.com"),
        ({"host": "http://127.0.0.1:8787"}, "http://127.0.0.1:8787"),
        ({"host": "http://127.0.0.1", "port": 8787}, "http://127.0.0.1:8787"),
        ({"host": "http://127.0.0.1:8787", "port": 8787}, "http://127.0.0.1:8787"),
        ({"host": "127.0.0.1", "port": 8787, "schema": "http"}, "http://127.0.0.1:8787"),
        ({"host": "http://proxy/segmind/", "port": 81}, "http://proxy:81/segmind"),
    ],
)
def test_where_the_service_is(fields, base_url):
    assert config(**fields).base_url == base_url


@pytest.mark.parametrize(
    ("uri", "base_url"),
    [
        (f"segmind://:{KEY}@", "https://api.segmind.com"),
        (f"segmind://:{KEY}@api.segmind.com", "https://api.segmind.com"),
        (f"segmind://:{KEY}@127.0.0.1:8787/http", "http://127.0.0.1:8787"),
        (f"segmind://:{KEY}@http%3A%2F%2F127.0.0.1%3A8787", "http://127.0.0.1:8787"),
    ],
)
def test_a_connection_written_as_a_uri(monkeypatch, uri, base_url):
    from airflow_ltx.hooks.segmind import SegmindHook

    monkeypatch.setenv("AIRFLOW_CONN_WRITTEN", uri)
    read = SegmindHook("written").config
    assert (read.base_url, read.api_key) == (base_url, KEY)


def test_the_extras():
    read = config(
        extra='{"requests_per_minute": "60", "timeout": "12.5", "history_url": "https://h.example/", '
        '"allow_private_hosts": "true"}'
    )
    assert (read.requests_per_minute, read.timeout, read.allow_private_hosts) == (60, 12.5, True)
    assert read.history_url == "https://h.example"
    assert read.upload_url == "https://workflows-api.segmind.com"


def test_fields_that_the_form_left_empty_are_not_set():
    read = config(
        extra='{"requests_per_minute": null, "timeout": "", "history_url": "", "allow_private_hosts": null}'
    )
    assert (read.requests_per_minute, read.timeout, read.allow_private_hosts) == (None, 30.0, False)
    assert read.history_url == "https://api.spotprod.segmind.com"


def test_another_services_key_goes_nowhere_else():
    read = config(host="http://127.0.0.1:8787")
    assert {read.history_url, read.upload_url} == {"http://127.0.0.1:8787"}


@pytest.mark.parametrize(
    "fields",
    [
        {"password": None},
        {"password": "  "},
        {"host": f"https://{KEY}@api.segmind.com"},
        {"host": "ftp://api.segmind.com"},
        {"extra": '{"timeout": "soon"}'},
        {"extra": '{"timeout": -1}'},
        {"extra": '{"requests_per_minute": "many"}'},
        {"extra": '{"requests_per_minute": 0}'},
        {"extra": '{"allow_private_hosts": "perhaps"}'},
        {"extra": '["timeout"]'},
        {"extra": "5"},
        {"conn_type": "aws"},
        {"conn_type": "http"},
    ],
)
def test_what_cannot_work_names_the_connection_and_never_the_key(fields):
    with pytest.raises(ConfigurationError) as caught:
        config(**fields)
    assert "Connection 'c'" in str(caught.value)
    assert KEY not in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize("conn_type", ["segmind", "generic", "", None])
def test_a_connection_without_a_type_of_its_own_is_taken(conn_type):
    assert config(conn_type=conn_type).api_key == KEY


def test_the_address_at_fault_is_named():
    with pytest.raises(ConfigurationError, match="The history_url must look like"):
        config(extra='{"history_url": "ftp://x"}')
    with pytest.raises(ConfigurationError, match="The upload_url is malformed"):
        config(extra='{"upload_url": "https://[::1"}')


def test_a_missing_connection_says_what_to_do():
    from airflow_ltx.hooks.segmind import SegmindHook

    with pytest.raises(ConfigurationError, match="Create a connection of type Segmind") as caught:
        SegmindHook("no_such_connection").get_conn()
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "fields",
    [
        {"conn_type": KEY},
        {"extra": json.dumps([KEY])},
        {"extra": json.dumps(KEY)},
        {"extra": json.dumps({"timeout": KEY})},
        {"extra": json.dumps({"timeout": [KEY]})},
        {"extra": json.dumps({"requests_per_minute": KEY})},
        {"extra": json.dumps({"requests_per_minute": {"x": KEY}})},
        {"extra": json.dumps({"allow_private_hosts": KEY})},
        {"extra": json.dumps({"history_url": [KEY]})},
    ],
)
def test_a_key_in_the_wrong_field_is_not_told(fields):
    with pytest.raises(ConfigurationError) as caught:
        config(**fields)
    assert KEY not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("value", ["Infinity", "-Infinity", "NaN", "1.5", "true", '"1.5"', "[]"])
def test_a_limit_that_is_no_whole_number_is_refused(value):
    with pytest.raises(ConfigurationError, match=r"requests_per_minute is .*a whole number"):
        config(extra=f'{{"requests_per_minute": {value}}}')
