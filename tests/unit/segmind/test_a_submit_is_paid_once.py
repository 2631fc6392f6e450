from __future__ import annotations

import contextlib
import inspect

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_ltx import exceptions as e
from tests.unit.segmind.support import KINDS, REQUEST_ID, Service, VirtualClock, run

# Raised before a byte of the request is written, for each reason why httpx raises it.
BEFORE = {
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
}


def leaves(base: type[BaseException]) -> list[type[BaseException]]:
    found = [kind for sub in base.__subclasses__() for kind in leaves(sub)]
    return found or [base]


TRANSPORT = sorted(
    {kind for kind in leaves(httpx.RequestError) if kind.__module__ == "httpx"},
    key=lambda kind: kind.__name__,
)
OTHERS: list[BaseException] = [
    OSError(5, "Input/output error"),
    ConnectionResetError(),
    RuntimeError("anything"),
    OverflowError("timestamp too large"),
    RecursionError(),
    httpx.StreamClosed(),
]


def accepted() -> httpx.Response:
    return httpx.Response(200, json={"request_id": REQUEST_ID, "status": "QUEUED"})


def test_the_table_knows_every_exception_of_the_transport() -> None:
    named = {
        kind for _, kind in inspect.getmembers(httpx, inspect.isclass) if issubclass(kind, httpx.RequestError)
    }
    assert set(TRANSPORT) <= named
    assert set(TRANSPORT) >= BEFORE
    assert {httpx.ReadTimeout, httpx.WriteTimeout, httpx.ReadError, httpx.WriteError} <= set(TRANSPORT)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("raised", TRANSPORT, ids=lambda kind: kind.__name__)
def test_a_submit_is_repeated_only_if_no_byte_of_it_left(kind: str, raised: type[Exception]) -> None:
    service = Service([raised("broke"), accepted()])
    if raised in BEFORE:
        bought = run(kind, service, lambda client: client.submit("ltx-video", {"prompt": "p"}))
        assert bought.request_id == REQUEST_ID
        assert len(service.requests) == 2
        assert service.requests[0].content == service.requests[1].content
    else:
        with pytest.raises(e.SubmitOutcomeUnknown, match="may exist and be billed") as caught:
            run(kind, service, lambda client: client.submit("ltx-video", {"prompt": "p"}))
        assert len(service.requests) == 1
        assert not caught.value.retryable
        assert isinstance(caught.value.__context__, raised)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("raised", OTHERS, ids=lambda error: type(error).__name__)
def test_whatever_else_breaks_a_submit_is_an_unknown_outcome(kind: str, raised: BaseException) -> None:
    """Anything but this package's errors makes Airflow retry the task, and so buy again."""
    service = Service([raised, accepted()])
    with pytest.raises(e.SubmitOutcomeUnknown):
        run(kind, service, lambda client: client.submit("m", {}))
    assert len(service.requests) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("raised", TRANSPORT, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("call", ["status", "result", "credits"])
def test_a_read_is_repeated_through_every_error_of_the_transport(
    kind: str, raised: type[Exception], call: str
) -> None:
    body = {"status": "COMPLETED", "output": "https://h/v.mp4", "credits": 1}
    service = Service([raised("broke"), httpx.Response(200, json=body)])
    arguments = () if call == "credits" else (REQUEST_ID,)
    run(kind, service, lambda client: getattr(client, call)(*arguments))
    assert len(service.requests) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_submit_that_never_arrives_is_not_billed_and_may_be_retried(kind: str) -> None:
    service = Service([httpx.ConnectError("refused")])
    clock = VirtualClock()
    with pytest.raises(e.NotSent, match="Nothing was sent") as caught:
        run(kind, service, lambda client: client.submit("m", {}), clock=clock)
    assert len(service.requests) == 4
    assert caught.value.retryable
    assert "api.segmind.com" in caught.value.message
    assert clock.passed < 60


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 406, 410, 422])
def test_a_refusal_is_final(kind: str, status: int) -> None:
    service = Service([httpx.Response(status, json={"error": "no"}), accepted()])
    with pytest.raises(e.SegmindError) as caught:
        run(kind, service, lambda client: client.submit("m", {}))
    assert len(service.requests) == 1
    assert not caught.value.retryable


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "location", ["javascript:x", "http://[::1", "http://h:port/", "\x80", "https://evil.example/"]
)
def test_a_redirect_to_anywhere_is_an_answer_not_a_crash(kind: str, location: str) -> None:
    """httpx reads the location even of redirects that it does not follow, after the request was sent."""
    service = Service([httpx.Response(302, headers=[(b"location", location.encode("latin-1"))]), accepted()])
    with pytest.raises((e.RequestRejected, e.SubmitOutcomeUnknown)):
        run(kind, service, lambda client: client.submit("m", {}))
    assert len(service.requests) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_moment_of_the_submit_is_that_of_the_last_sending(kind: str) -> None:
    clock = VirtualClock()
    service = Service([httpx.Response(429, headers={"retry-after": "30"}), accepted()], cost=2.0, clock=clock)
    bought = run(kind, service, lambda client: client.submit("m", {}), clock=clock)
    assert clock.start + 32 <= bought.submitted_at <= clock.now - 2


answers = st.sampled_from(
    [
        httpx.Response(code, json={"error": "x"})
        for code in (200, 204, 301, 400, 401, 406, 408, 422, 429, 500, 503)
    ]
    + [httpx.Response(200, text="<html>"), httpx.Response(200, content=b""), accepted()]
)
breaks = st.sampled_from([kind("broke") for kind in TRANSPORT])


@settings(max_examples=60, deadline=None)
@given(script=st.lists(answers | breaks, min_size=1, max_size=8), kind=st.sampled_from(KINDS))
def test_nothing_follows_a_call_that_may_have_been_received(
    script: list[httpx.Response | BaseException], kind: str
) -> None:
    service = Service(script)
    with contextlib.suppress(e.SegmindError):
        run(kind, service, lambda client: client.submit("m", {"prompt": "p"}))
    for entry in (service.script * 2)[: len(service.requests) - 1]:
        if isinstance(entry, httpx.Response):
            assert entry.status_code == 429
        else:
            assert type(entry) in BEFORE
