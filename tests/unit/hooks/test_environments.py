"""What the environment of the process breaks while a client is built."""

from __future__ import annotations

import json
import uuid

import pytest

from airflow_ltx.exceptions import ConfigurationError
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.segmind.transport import shared_ssl_context

KEY = "SG_0123456789abcdef"
BROKEN = [
    ("HTTPS_PROXY", "foo://user:PASSWORD@proxy.example:1"),
    ("HTTPS_PROXY", "http://user:PASSWORD@proxy.example:bad"),
    ("ALL_PROXY", "foo://proxy.example"),
    ("SSL_CERT_FILE", "/no/such/bundle.pem"),
]


@pytest.fixture(params=BROKEN, ids=lambda pair: pair[0])
def variable(request, monkeypatch):
    name, value = request.param
    # Nobody else has a client for this base URL, so one is built.
    fields = {"conn_type": "segmind", "password": KEY, "host": f"https://{uuid.uuid4().hex}.example"}
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", json.dumps(fields))
    monkeypatch.setenv(name, value)
    shared_ssl_context.cache_clear()
    yield name
    shared_ssl_context.cache_clear()


def test_a_client_that_cannot_be_built_names_the_variable(variable):
    with pytest.raises(ConfigurationError, match=f"{variable}.*Nothing was sent") as caught:
        SegmindHook("broken").get_conn()
    assert not caught.value.retryable
    assert "PASSWORD" not in str(caught.value)


async def test_an_async_client_does_too(variable):
    with pytest.raises(ConfigurationError, match=f"{variable}.*Nothing was sent"):
        await SegmindHook("broken").aget_conn()


def test_the_form_says_it_too(variable):
    ok, said = SegmindHook("broken").test_connection()
    assert not ok
    assert variable in said
    assert "PASSWORD" not in said
