from __future__ import annotations

import errno
import socket
import ssl
from typing import Any

import httpx
import pytest

from airflow_ltx import exceptions as e
from airflow_ltx.segmind.redact import quote_service
from airflow_ltx.segmind.retry import ONCE
from airflow_ltx.segmind.transport import trouble
from tests.unit.segmind.support import KINDS, REQUEST_ID, Service, run


def chained(outer: BaseException, *causes: BaseException) -> BaseException:
    """``outer`` as httpx raises it: over httpcore's error, over the system's."""
    upper = outer
    for cause in causes:
        upper.__cause__ = cause
        upper = cause
    return outer


TROUBLES: list[tuple[BaseException, e.Trouble]] = [
    (chained(httpx.ConnectError("x"), OSError(), socket.gaierror(-2, "unknown")), e.Trouble.NAME),
    (chained(httpx.ConnectError("x"), ConnectionRefusedError(errno.ECONNREFUSED, "x")), e.Trouble.REFUSED),
    (chained(httpx.ConnectError("x"), OSError(errno.EHOSTUNREACH, "no route")), e.Trouble.UNREACHABLE),
    (chained(httpx.ConnectError("x"), OSError(errno.ENETUNREACH, "no network")), e.Trouble.UNREACHABLE),
    (chained(httpx.ConnectError("x"), ssl.SSLCertVerificationError(1, "self-signed")), e.Trouble.CERTIFICATE),
    (chained(httpx.ConnectError("x"), ssl.SSLError(1, "wrong version number")), e.Trouble.TLS),
    (httpx.ConnectTimeout("x"), e.Trouble.TIMEOUT),
    (httpx.ReadTimeout("x"), e.Trouble.TIMEOUT),
    (httpx.PoolTimeout("x"), e.Trouble.TIMEOUT),
    (TimeoutError(), e.Trouble.TIMEOUT),
    (httpx.ProxyError("407"), e.Trouble.PROXY),
    (httpx.ReadError("reset"), e.Trouble.BROKEN),
    (httpx.RemoteProtocolError("closed"), e.Trouble.BROKEN),
    (ConnectionResetError(errno.ECONNRESET, "reset"), e.Trouble.BROKEN),
    (ValueError("anything"), e.Trouble.BROKEN),
]


@pytest.mark.parametrize(("raised", "kind"), TROUBLES)
def test_what_lies_at_the_bottom_of_an_error_is_found(raised: BaseException, kind: e.Trouble) -> None:
    assert trouble(raised) is kind


def test_errors_that_name_each_other_do_not_go_on_for_ever() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__context__, other.__context__ = other, one
    assert trouble(one) is e.Trouble.BROKEN


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("raised", "found"), TROUBLES)
def test_the_error_of_a_call_carries_its_trouble(kind: str, raised: BaseException, found: Any) -> None:
    with pytest.raises(e.SegmindError) as caught:
        run(kind, Service([raised]), lambda client: client.status(REQUEST_ID, retry=ONCE))
    assert caught.value.trouble is found
    assert caught.value.said
    assert caught.value.said in caught.value.message
    assert caught.value.request_id == REQUEST_ID


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_no_trouble_of_the_network(kind: str) -> None:
    with pytest.raises(e.ServiceUnavailable) as caught:
        run(
            kind,
            Service([httpx.Response(503, json={"error": "busy"})]),
            lambda c: c.status(REQUEST_ID, retry=ONCE),
        )
    assert (caught.value.trouble, caught.value.said) == (None, "HTTP 503: busy")


@pytest.mark.parametrize("kind", KINDS)
def test_a_redirect_says_where_to_and_not_with_which_token(kind: str) -> None:
    answer = httpx.Response(302, headers={"location": "https://login.example/x?token=SECRET#SECRET"})
    with pytest.raises(e.UnreadableResponse) as caught:
        run(kind, Service([answer]), lambda c: c.status(REQUEST_ID, retry=ONCE))
    assert caught.value.said == "HTTP 302 to https://login.example/x"


def test_what_a_service_says_cannot_steer_a_terminal_or_forge_a_line() -> None:
    assert quote_service("a\x1b[31mb\x00c\nd\r\n\x9be") == "a [31mb c d e"
