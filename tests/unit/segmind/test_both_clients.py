from __future__ import annotations

import asyncio
import contextlib
import gzip
import inspect
import json
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_ltx import __version__
from airflow_ltx import exceptions as e
from airflow_ltx.segmind import calls
from airflow_ltx.segmind.async_client import AsyncSegmindClient
from airflow_ltx.segmind.client import SegmindClient
from airflow_ltx.segmind.download import open_download
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.losses import LARGEST_ANSWER
from airflow_ltx.segmind.protocol import ApiResponse
from airflow_ltx.segmind.reach import Reach
from airflow_ltx.segmind.retry import ONCE
from tests.unit.segmind.support import CONFIG, KEY, KINDS, REQUEST_ID, Service, VirtualClock, run

DONE = {"status": "COMPLETED", "output": "https://files.example/v.mp4?sig=SIGNED", "credits": 1.0}
HISTORY = "/inference-request/request-history"
PNG = b"\x89PNG\r\n\x1a\n"
CALLS: dict[str, tuple[Callable[[Any], Any], str, str, str]] = {
    "submit": (lambda c: c.submit("ltx-video", {"prompt": "é", "cfg": 3}), "POST", "base", "/v2/ltx-video"),
    "status": (lambda c: c.status(REQUEST_ID), "GET", "base", f"/v2/requests/{REQUEST_ID}/status"),
    "result": (lambda c: c.result(REQUEST_ID), "GET", "base", f"/v2/requests/{REQUEST_ID}"),
    "credits": (lambda c: c.credits(), "GET", "base", "/v1/get-user-credits"),
    "history": (lambda c: c.history(), "GET", "history", f"{HISTORY}?page=1&per_page=20"),
    "history_entry": (lambda c: c.history_entry(REQUEST_ID), "GET", "history", f"{HISTORY}/{REQUEST_ID}"),
    "upload": (lambda c: c.upload(PNG), "POST", "upload", "/upload-asset"),
}
ANSWERS = {
    "history": {"data": []},
    "upload": {"file_urls": ["https://files.example/a.png?sig=SIGNED"]},
}


def answered(call: str) -> httpx.Response:
    return httpx.Response(200, json=ANSWERS.get(call, {"request_id": REQUEST_ID, **DONE}))


everywhere = pytest.mark.parametrize("kind", KINDS)
every_call = pytest.mark.parametrize("call", CALLS)


@everywhere
@every_call
@pytest.mark.parametrize("base", ["https://api.segmind.com", "http://[::1]:8787/prefix/v2"])
def test_exactly_one_request_goes_out(kind: str, call: str, base: str) -> None:
    do, method, host, path = CALLS[call]
    config = ClientConfig(api_key=KEY, base_url=base)
    service = Service([answered(call)])
    run(kind, service, do, config=config)
    (request,) = service.requests
    assert (request.method, str(request.url)) == (method, getattr(config, f"{host}_url") + path)
    assert request.headers["x-api-key"] == KEY
    assert request.headers["user-agent"] == f"airflow-provider-ltx/{__version__}"
    assert "authorization" not in request.headers
    if call == "submit":
        assert request.headers["content-type"] == "application/json"
        assert json.loads(request.content) == {"prompt": "é", "cfg": 3}
    elif method == "GET":
        assert request.content == b""
    assert KEY not in str(request.url) + request.content.decode()


@everywhere
@every_call
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(kind: str, call: str, status: int) -> None:
    service = Service([httpx.Response(status, headers={"location": "https://evil.example/"})])
    with pytest.raises((e.RequestRejected, e.UnreadableResponse), match=r"base URL|_url"):
        run(kind, service, lambda client: client._run(_call(client, call), ONCE, None))
    assert [request.url.host for request in service.requests] == [
        httpx.URL(getattr(CONFIG, f"{CALLS[call][2]}_url")).host
    ]


def _call(client: Any, name: str) -> Any:
    from airflow_ltx.segmind import calls
    from airflow_ltx.segmind.history import history_query
    from airflow_ltx.segmind.upload import read_files

    return {
        "submit": lambda: calls.submit(client.config, "m", {}),
        "status": lambda: calls.status(client.config, REQUEST_ID),
        "result": lambda: calls.result(client.config, REQUEST_ID),
        "credits": lambda: calls.balance(client.config),
        "history": lambda: calls.history(client.config, history_query(0.0)),
        "history_entry": lambda: calls.history_entry(client.config, REQUEST_ID),
        "upload": lambda: calls.upload(client.config, read_files([PNG])),
    }[name]()


@everywhere
def test_urls_in_answers_are_not_followed(kind: str) -> None:
    evil = "https://evil.example/steal"
    urls = {"poll_url": evil, "status_url": evil, "response_url": evil}
    service = Service([httpx.Response(200, json={"request_id": REQUEST_ID, "status": "QUEUED", **urls})])

    def submit_then_look(client: SegmindClient) -> None:
        client.status(client.submit("m", {}).request_id)

    async def asubmit_then_look(client: AsyncSegmindClient) -> None:
        await client.status((await client.submit("m", {})).request_id)

    run(kind, service, submit_then_look if kind == "sync" else asubmit_then_look)
    assert {request.url.host for request in service.requests} == {"api.segmind.com"}


def test_the_key_never_goes_to_the_file_host() -> None:
    service = Service([httpx.Response(200, headers={"content-type": "video/mp4"}, content=b"bytes")])
    transport = httpx.MockTransport(service)
    with open_download("https://files.example/v.mp4", reach=Reach(), transport=transport) as (_, chunks):
        assert b"".join(chunks) == b"bytes"
    (request,) = service.requests
    assert KEY not in str(request.headers.raw)
    assert "x-api-key" not in request.headers
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("announced", ["2", "4"])
def test_a_file_of_another_length_than_announced_is_refused(announced: str) -> None:
    """Also where the transport below does not count for itself."""
    headers = {"content-length": announced, "content-type": "video/mp4"}
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"abc"))
    )
    with (
        pytest.raises(e.DownloadFailed, match="3 bytes") as caught,
        open_download("https://files.example/v.mp4", reach=Reach(), transport=transport) as (_, chunks),
    ):
        b"".join(chunks)
    assert caught.value.transient is True


class Endless(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body without end that counts what was taken of it."""

    taken = 0

    def __iter__(self) -> Any:
        while True:
            self.taken += 1
            yield b" " * 1024 * 1024

    async def __aiter__(self) -> Any:
        for chunk in self:
            yield chunk


@everywhere
@every_call
def test_an_answer_without_end_is_cut(kind: str, call: str) -> None:
    body = Endless()
    expected = e.SubmitOutcomeUnknown if call == "submit" else e.UnreadableResponse
    with pytest.raises(expected, match="MiB"):
        run(
            kind,
            lambda request: httpx.Response(200, stream=body),
            lambda client: client._run(_call(client, call), ONCE, None),
        )
    assert body.taken <= LARGEST_ANSWER // 2**20 + 2


@everywhere
def test_a_compressed_answer_is_cut_by_its_real_size(kind: str) -> None:
    small = gzip.compress(b" " * (LARGEST_ANSWER + 1024 * 1024), 1)
    answer = httpx.Response(200, headers={"content-encoding": "gzip"}, content=small)
    with pytest.raises(e.UnreadableResponse, match="MiB"):
        run(
            kind,
            lambda request: httpx.Response(200, headers=answer.headers, stream=httpx.ByteStream(small)),
            lambda client: client.status(REQUEST_ID, retry=ONCE),
        )


@everywhere
@every_call
def test_a_body_that_does_not_decode_is_one_of_the_errors(kind: str, call: str) -> None:
    def garbled(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip"))

    with pytest.raises((e.SubmitOutcomeUnknown, e.ServiceUnavailable)):
        run(kind, garbled, lambda client: client._run(_call(client, call), ONCE, None))


@everywhere
def test_reads_last_until_the_callers_deadline(kind: str) -> None:
    clock = VirtualClock()
    service = Service([httpx.Response(503)])
    with pytest.raises(e.ServiceUnavailable):
        run(kind, service, lambda client: client.status(REQUEST_ID, deadline=clock.start + 200), clock=clock)
    assert 180 < clock.passed < 200


@everywhere
def test_a_read_with_the_policy_once_is_made_once(kind: str) -> None:
    service = Service([httpx.Response(503)])
    with pytest.raises(e.ServiceUnavailable):
        run(kind, service, lambda client: client.status(REQUEST_ID, retry=ONCE))
    assert len(service.requests) == 1


@everywhere
@pytest.mark.parametrize("body", [{"status": "FAILED", "error": "no"}, {"status": "WAITING"}])
def test_a_status_is_read_once_whatever_it_says(kind: str, body: dict[str, str]) -> None:
    service = Service([httpx.Response(422 if "error" in body else 200, json=body)])
    assert run(kind, service, lambda client: client.status(REQUEST_ID)).word == body["status"]
    assert len(service.requests) == 1


@everywhere
@every_call
@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_httpx_logs_no_line_of_ours_and_keeps_those_of_others(
    kind: str, call: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    # Airflow, if some other test imported it, has made httpx itself quieter.
    caplog.set_level(level)
    caplog.set_level(level, logger="httpx")

    run(kind, lambda request: answered(call), CALLS[call][0])
    assert [
        r.getMessage() for r in caplog.records if re.search(r"https?://|SIGNED|SG_", r.getMessage())
    ] == []
    with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as other:
        other.get("https://other.example/page")
    assert "https://other.example/page" in caplog.text


@everywhere
def test_other_clients_are_heard_again_after_an_error(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="httpx")
    with contextlib.suppress(e.SegmindError):
        run(kind, Service([httpx.ReadError("x")]), lambda client: client.status(REQUEST_ID, retry=ONCE))
    with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as other:
        other.get("https://other.example/page")
    assert "https://other.example/page" in caplog.text


def test_a_download_is_not_logged_with_its_signature(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=b"x"))
    with open_download("https://files.example/v.mp4?sig=SIGNED", reach=Reach(), transport=transport) as (
        _,
        chunks,
    ):
        b"".join(chunks)
    assert "SIGNED" not in caplog.text


def test_the_key_shows_in_no_text_form_of_a_client() -> None:
    with SegmindClient(CONFIG) as client:
        assert KEY not in f"{client!r} {client} {client.config!r}"


@everywhere
@pytest.mark.parametrize("call", ["submit", "status"])
def test_the_key_and_signed_queries_show_in_no_error(kind: str, call: str) -> None:
    """httpx quotes what a broken server sent, and that may be our own header."""
    service = Service(
        [httpx.RemoteProtocolError(f"illegal line: x-api-key {KEY} GET https://h/x?sig=SIGNED")]
    )
    with pytest.raises(e.SegmindError) as caught:
        run(kind, service, CALLS[call][0])
    assert KEY not in f"{caught.value} {caught.value!r}"
    assert "SIGNED" not in str(caught.value)


@everywhere
def test_a_read_that_finds_no_connection_says_nothing_of_a_bill(kind: str) -> None:
    """The request that it asks after may well be billed."""
    service = Service([httpx.ConnectError("refused")])
    with pytest.raises(e.NotSent) as caught:
        run(kind, service, lambda client: client.status(REQUEST_ID, retry=ONCE))
    assert "billed" not in caught.value.message


def signature(method: Any) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(method, eval_str=False).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in parameters]


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    assert public(AsyncSegmindClient) - {"aclose", "create"} == public(SegmindClient) - {"close"}
    for name in public(SegmindClient) - {"close"}:
        assert signature(getattr(AsyncSegmindClient, name)) == signature(getattr(SegmindClient, name)), name


@everywhere
@pytest.mark.parametrize("call", [*CALLS, "run_sync"])
def test_every_method_takes_a_policy_and_a_deadline(kind: str, call: str, tmp_path: Path) -> None:
    arguments: dict[str, tuple[Any, ...]] = {
        "submit": ("m", {}),
        "run_sync": ("m", {}, tmp_path / "v"),
        "upload": (PNG,),
        "credits": (),
        "history": (),
    }
    clock = VirtualClock()
    service = Service([httpx.ConnectError("refused")])
    with pytest.raises(e.NotSent):
        run(
            kind,
            service,
            lambda c: getattr(c, call)(*arguments.get(call, (REQUEST_ID,)), deadline=clock.start + 0.1),
            clock=clock,
        )
    assert clock.passed <= 0.1
    with pytest.raises(e.NotSent):
        run(kind, service, lambda c: getattr(c, call)(*arguments.get(call, (REQUEST_ID,)), retry=ONCE))
    assert len(service.requests) == 2


@everywhere
@pytest.mark.parametrize("call", ["status", "credits"])
def test_an_answer_that_names_no_file_is_cut_early(kind: str, call: str) -> None:
    body = Endless()
    with pytest.raises(e.UnreadableResponse, match="2 MiB"):
        run(
            kind,
            lambda request: httpx.Response(200, stream=body),
            lambda client: client._run(_call(client, call), ONCE, None),
        )
    assert body.taken <= 4


@pytest.mark.parametrize(("size", "on_loop"), [(100, True), (300 * 1024, False)])
def test_a_large_answer_is_read_off_the_event_loop(size: int, on_loop: bool) -> None:
    readers: list[int] = []

    async def go() -> None:
        answer = httpx.Response(200, json={"credits": 1.0, "x": "y" * size})
        async with AsyncSegmindClient(CONFIG, transport=httpx.MockTransport(Service([answer]))) as client:
            call = calls.balance(CONFIG)

            def read(response: ApiResponse, sent_at: float) -> Any:
                readers.append(threading.get_ident())
                return call.read(response, sent_at)

            assert (await client._run(replace(call, read=read))).credits == 1.0

    asyncio.run(go())
    assert (readers == [threading.get_ident()]) is on_loop


@everywhere
def test_a_page_of_far_more_rows_than_were_asked_for_is_not_read(kind: str) -> None:
    rows = [{"request_id": f"{number:032x}"} for number in range(1001)]
    for count in (1000, 1001):
        service = Service([httpx.Response(200, json={"data": rows[:count]})])
        if count == 1000:
            assert len(run(kind, service, lambda c: c.history(retry=ONCE)).entries) == count
        else:
            with pytest.raises(e.UnreadableResponse, match="20 rows with 1001"):
                run(kind, service, lambda c: c.history(retry=ONCE))
