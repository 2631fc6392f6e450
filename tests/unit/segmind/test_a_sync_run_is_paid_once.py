from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_ltx import exceptions as e
from airflow_ltx.segmind import whole_file
from airflow_ltx.segmind.async_client import AsyncSegmindClient
from airflow_ltx.segmind.endpoints import ClientConfig
from tests.unit.segmind.support import CONFIG, KEY, KINDS, REQUEST_ID, Service, VirtualClock, run
from tests.unit.segmind.sync_support import (
    BASE64,
    HEADERS,
    MP4,
    Pieces,
    buy,
    everything,
    everywhere,
    in_pieces,
    made,
    told,
)
from tests.unit.segmind.test_a_submit_is_paid_once import BEFORE, OTHERS, TRANSPORT


@everywhere
@pytest.mark.parametrize("raised", TRANSPORT, ids=lambda error: error.__name__)
def test_a_run_is_repeated_only_if_no_byte_of_it_left(
    kind: str, raised: type[Exception], tmp_path: Path
) -> None:
    service = Service([raised("broke"), made()])
    if raised in BEFORE:
        assert buy(kind, service, tmp_path / "v").request_id == REQUEST_ID
        assert len(service.requests) == 2
        return
    with pytest.raises(e.SubmitOutcomeUnknown, match="may exist and be billed") as caught:
        buy(kind, service, tmp_path / "v")
    assert len(service.requests) == 1
    assert not caught.value.retryable
    assert "request history" in caught.value.message
    assert everything(tmp_path) == []


@everywhere
@pytest.mark.parametrize("raised", OTHERS, ids=lambda error: type(error).__name__)
def test_whatever_else_breaks_a_run_is_an_unknown_outcome(
    kind: str, raised: BaseException, tmp_path: Path
) -> None:
    service = Service([raised, made()])
    with pytest.raises(e.SubmitOutcomeUnknown):
        buy(kind, service, tmp_path / "v")
    assert len(service.requests) == 1


@everywhere
@pytest.mark.parametrize(
    "broken", [httpx.ReadError("cut"), httpx.RemoteProtocolError("cut"), OSError(5, "io")]
)
@pytest.mark.parametrize("pieces", [(), (MP4[:5000],), (MP4[:70_000], MP4[:70_000])], ids=len)
def test_a_file_cut_off_midway_was_probably_billed_and_can_be_looked_for(
    kind: str, broken: Exception, pieces: tuple[bytes, ...], tmp_path: Path
) -> None:
    (tmp_path / "v").write_bytes(b"the old film")
    with pytest.raises(e.SubmitOutcomeUnknown, match="probably billed") as caught:
        buy(kind, in_pieces(*pieces, broken), tmp_path / "v")
    assert caught.value.request_id == REQUEST_ID
    assert f"history_entry('{REQUEST_ID}')" in caught.value.message
    assert (f"after {sum(map(len, pieces))} bytes" in caught.value.message) is bool(pieces)
    assert not caught.value.retryable
    assert everything(tmp_path) == ["v"]
    assert (tmp_path / "v").read_bytes() == b"the old film"


@everywhere
@pytest.mark.parametrize(
    ("content", "length"), [(b"", "0"), (MP4, str(len(MP4) + 1)), (MP4, str(len(MP4) - 1)), (b"", "12")]
)
def test_another_length_than_announced_is_no_file(
    kind: str, content: bytes, length: str, tmp_path: Path
) -> None:
    """Also where the transport below does not count for itself."""
    with pytest.raises(e.SubmitOutcomeUnknown, match=f"after {len(content)} bytes") as caught:
        buy(kind, in_pieces(content, content_length=length), tmp_path / "v")
    assert caught.value.request_id == REQUEST_ID
    assert everything(tmp_path) == []


@everywhere
@pytest.mark.parametrize("encoding", ["gzip", "GZIP ", "br"])
def test_a_packed_file_is_refused_since_its_length_cannot_be_known(
    kind: str, encoding: str, tmp_path: Path
) -> None:
    """What is unpacked of half an archive looks like a whole file."""
    half = gzip.compress(MP4)[:2000]
    with pytest.raises(e.SubmitOutcomeUnknown, match=r"in the encoding.*probably billed") as caught:
        buy(kind, in_pieces(half, content_encoding=encoding), tmp_path / "v")
    assert caught.value.request_id == REQUEST_ID
    assert everything(tmp_path) == []


@everywhere
def test_packed_text_is_read_as_text(kind: str, tmp_path: Path) -> None:
    headers = {"content_type": "application/json", "content_encoding": "gzip"}
    packed = gzip.compress(b'{"status": "FAILED", "error": "no such voice"}')
    with pytest.raises(e.RequestFailed, match="no such voice"):
        buy(kind, in_pieces(packed, **headers), tmp_path / "v")


CHARGES: list[tuple[int, dict[str, Any], dict[str, str]]] = [
    (429, {"error": "slow down"}, {"x_cost": "0.05", "retry_after": "0"}),
    (403, {"error": "storage denied"}, {"x_cost": "0.05"}),
    (407, {}, {"x_cost": "0.05"}),
    (400, {"status": "FAILED", "error": "boom", "metrics": {"cost": 0.05}}, {}),
    (422, {"error": "bad"}, {"x_cost": "0.05"}),
    (302, {}, {"x_cost": "0.05", "location": "https://elsewhere/"}),
]


@everywhere
@pytest.mark.parametrize(("status", "body", "headers"), CHARGES)
def test_a_refusal_that_names_a_cost_is_neither_unbilled_nor_sent_again(
    kind: str, status: int, body: dict[str, Any], headers: dict[str, str], tmp_path: Path
) -> None:
    service = Service([told(body, status, x_request_id=REQUEST_ID, **headers), made()])
    with pytest.raises(e.SubmitOutcomeUnknown, match=r"\$0\.05.*probably billed") as caught:
        buy(kind, service, tmp_path / "v")
    assert "Nothing was billed" not in caught.value.message
    assert (caught.value.request_id, caught.value.http_status) == (REQUEST_ID, status)
    assert len(service.requests) == 1


@everywhere
@pytest.mark.parametrize(("status", "body", "headers"), CHARGES)
def test_a_submit_refused_at_a_cost_is_not_sent_again_either(
    kind: str, status: int, body: dict[str, Any], headers: dict[str, str]
) -> None:
    service = Service(
        [told(body, status, x_request_id=REQUEST_ID, **headers), told({"request_id": "b" * 32})]
    )
    with pytest.raises(e.SubmitOutcomeUnknown, match=r"\$0\.05.*may exist and be billed") as caught:
        run(kind, service, lambda c: c.submit("m", {}))
    assert caught.value.request_id == REQUEST_ID
    assert REQUEST_ID in caught.value.message
    assert len(service.requests) == 1


@everywhere
def test_a_failure_names_the_higher_of_two_costs(kind: str, tmp_path: Path) -> None:
    failed = {"status": "FAILED", "error": "x", "metrics": {"cost": 0}}
    with pytest.raises(e.RequestFailed, match=r"a cost of \$0\.05") as caught:
        buy(kind, Service([told(failed, 200, x_cost="0.05")]), tmp_path / "v")
    assert (caught.value.cost, caught.value.retryable) == (0.05, False)


@everywhere
@pytest.mark.parametrize("raised", sorted(BEFORE, key=str), ids=lambda error: error.__name__)
def test_an_error_of_connecting_after_an_answer_began_is_no_proof(
    kind: str, raised: type[Exception], tmp_path: Path
) -> None:
    """The file is there, and may be paid for, whatever the transport calls its loss."""
    with pytest.raises(e.SubmitOutcomeUnknown, match="probably billed") as caught:
        buy(kind, in_pieces(MP4[:100], raised("late")), tmp_path / "v")
    assert caught.value.request_id == REQUEST_ID


@everywhere
def test_a_lost_answer_that_had_named_a_cost_was_probably_billed(kind: str, tmp_path: Path) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        headers = {"x-cost": "0.05", "content-type": "application/json"}
        return httpx.Response(500, headers=headers, stream=Pieces(b"{", httpx.ReadError("cut")))

    with pytest.raises(e.SubmitOutcomeUnknown, match="probably billed"):
        buy(kind, handler, tmp_path / "v")


@everywhere
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 406, 410, 302])
def test_a_refusal_is_final_and_not_billed(kind: str, status: int, tmp_path: Path) -> None:
    service = Service([told({"error": "no"}, status, x_request_id=REQUEST_ID), made()])
    with pytest.raises(e.SegmindError, match="Nothing was billed") as caught:
        buy(kind, service, tmp_path / "v")
    assert len(service.requests) == 1
    assert caught.value.request_id == REQUEST_ID
    assert not caught.value.retryable
    assert everything(tmp_path) == []


@everywhere
def test_a_run_that_never_arrives_is_given_up_as_a_submit_is(kind: str, tmp_path: Path) -> None:
    clock = VirtualClock()
    service = Service([httpx.ConnectError("refused")])
    with pytest.raises(e.NotSent, match="nothing is billed") as caught:
        run(kind, service, lambda c: c.run_sync("m", {}, tmp_path / "v"), clock=clock)
    assert len(service.requests) == 4
    assert caught.value.retryable


@everywhere
def test_a_full_minute_is_waited_for(kind: str, tmp_path: Path) -> None:
    clock = VirtualClock()
    service = Service([httpx.Response(429, headers={"retry-after": "30"}), made()])
    run(kind, service, lambda c: c.run_sync("m", {}, tmp_path / "v"), clock=clock)
    assert 30 <= clock.passed < 60


@everywhere
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
@pytest.mark.parametrize("request_id", [REQUEST_ID, None])
def test_a_service_that_breaks_may_have_billed(
    kind: str, status: int, request_id: str | None, tmp_path: Path
) -> None:
    headers = {} if request_id is None else {"x_request_id": request_id}
    service = Service([told({"error": "Internal Polling Error"}, status, **headers), made()])
    with pytest.raises(e.SubmitOutcomeUnknown, match="may exist and be billed") as caught:
        buy(kind, service, tmp_path / "v")
    assert (caught.value.request_id, caught.value.http_status) == (request_id, status)
    assert "Internal Polling Error" in caught.value.message
    assert ("history_entry" in caught.value.message) is (request_id is not None)
    assert len(service.requests) == 1


@everywhere
@pytest.mark.parametrize("step", ["write", "fsync", "open"])
def test_a_disk_that_fails_after_the_purchase_says_that_money_is_spent(
    kind: str, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = threading.Event()

    def handler(request: httpx.Request) -> httpx.Response:
        sent.set()
        return made()

    real = getattr(whole_file.os, step)

    def full(*arguments: Any) -> Any:
        if sent.is_set():
            raise OSError(28, "No space left on device")
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(whole_file.os, step, full)
        with pytest.raises(e.DestinationError, match="No space left on device") as caught:
            buy(kind, handler, tmp_path / "v")
    assert "made and billed" in caught.value.message
    assert f"history_entry('{REQUEST_ID}')" in caught.value.message
    assert caught.value.request_id == REQUEST_ID
    assert not caught.value.retryable
    assert everything(tmp_path) == []


@everywhere
def test_a_disk_that_fails_with_base64_says_so_too(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        # Taken away after the check and before the write.
        (tmp_path / "new").rmdir()
        (tmp_path / "new").write_bytes(b"")
        return told({"video": BASE64})

    with pytest.raises(e.DestinationError, match=r"made and billed.*named no id") as caught:
        buy(kind, handler, tmp_path / "new" / "v")
    assert not caught.value.retryable


@everywhere
def test_nothing_is_visible_under_the_name_before_the_end(kind: str, tmp_path: Path) -> None:
    seen: list[list[str]] = []

    class Watched(Pieces):
        def __iter__(self) -> Iterator[bytes]:
            for piece in super().__iter__():
                yield piece
                seen.append(everything(tmp_path))

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=HEADERS, stream=Watched(*[MP4[:1000]] * 5))

    buy(kind, handler, tmp_path / "v")
    assert len(seen) == 5
    for names in seen:
        assert len(names) == 1
        assert names[0].startswith(".")


def test_a_cancelled_run_leaves_nothing_and_waits_for_its_writer(tmp_path: Path) -> None:
    """A file that is closed under its writer may be another one by the time that it writes."""
    writing, go_on = threading.Event(), threading.Event()
    done: list[str] = []
    real = whole_file.os.write

    async def go() -> None:
        transport = httpx.MockTransport(in_pieces(MP4, MP4))
        async with AsyncSegmindClient(CONFIG, transport=transport) as client:
            running = asyncio.create_task(client.run_sync("m", {}, tmp_path / "v"))
            await asyncio.to_thread(writing.wait, 10)
            running.cancel()
            await asyncio.sleep(0.05)
            done.append("still there" if not running.done() else "left early")
            running.cancel()
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await running

    def slow(descriptor: int, data: Any) -> int:
        if len(data) > 1:
            writing.set()
            go_on.wait(10)
        return real(descriptor, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_file.os, "write", slow)
        asyncio.run(go())
    assert done == ["still there"]
    assert everything(tmp_path) == []


@pytest.mark.parametrize("trouble", ["drips", "is down"])
def test_a_cancelled_run_stops_fetching_its_file_at_once(trouble: str, tmp_path: Path) -> None:
    asked = threading.Event()

    async def host(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        if trouble == "is down":
            writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ncontent-length: 900\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                for _ in range(900):
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.02)
        writer.close()

    async def go() -> float:
        async with await asyncio.start_server(host, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            service = Service([told({"video": {"url": f"http://127.0.0.1:{port}/v.mp4"}})])
            transport = httpx.MockTransport(service)
            near = ClientConfig("key", base_url="http://127.0.0.1")
            async with AsyncSegmindClient(near, transport=transport) as client:
                running = asyncio.create_task(client.run_sync("m", {}, tmp_path / "v"))
                assert await asyncio.to_thread(asked.wait, 10)
                await asyncio.sleep(0.1)
                begun = time.monotonic()
                running.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await running
                return time.monotonic() - begun

    assert asyncio.run(go()) < 2
    assert everything(tmp_path) == []


@everywhere
def test_what_ends_the_process_leaves_no_file(kind: str, tmp_path: Path) -> None:
    class Ended(BaseException):
        """As a task's time-out is raised into whatever runs."""

    with pytest.raises(Ended):
        buy(kind, in_pieces(MP4, Ended()), tmp_path / "v")
    assert everything(tmp_path) == []


@everywhere
def test_neither_key_nor_signature_is_told(kind: str, tmp_path: Path) -> None:
    echo = f"x-api-key {KEY} for https://h/x?sig=SIGNED"
    for handler in (
        Service([told({"error": echo}, 500)]),
        Service([told({"error": echo})]),
        Service([told({"error": echo}, 400)]),
        in_pieces(MP4, httpx.ReadError(echo)),
    ):
        with pytest.raises(e.SegmindError) as caught:
            buy(kind, handler, tmp_path / "v")
        assert KEY not in f"{caught.value} {caught.value!r} {caught.value.said}"
        assert "SIGNED" not in str(caught.value)


@everywhere
def test_a_request_id_that_is_none_is_not_told_as_one(kind: str, tmp_path: Path) -> None:
    with pytest.raises(e.SubmitOutcomeUnknown) as caught:
        buy(kind, in_pieces(httpx.ReadError("x"), x_request_id="../../x?y"), tmp_path / "v")
    assert caught.value.request_id is None


pieces = st.lists(st.binary(max_size=300), max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    content=pieces, broken=st.booleans(), length=st.none() | st.integers(0, 1500), kind=st.sampled_from(KINDS)
)
def test_a_file_is_there_whole_or_not_at_all(
    content: list[bytes], broken: bool, length: int | None, kind: str, tmp_path: Path
) -> None:
    target = tmp_path / "v"
    target.unlink(missing_ok=True)
    headers = {} if length is None else {"content_length": str(length)}
    handler = in_pieces(*content, *([httpx.ReadError("cut")] if broken else []), **headers)
    whole = b"".join(content)
    fine = not broken and whole and length in (None, len(whole))
    try:
        result = buy(kind, handler, target)
    except e.SubmitOutcomeUnknown:
        assert not fine
        assert everything(tmp_path) == []
    else:
        assert fine
        assert target.read_bytes() == whole
        assert result.sha256 == hashlib.sha256(whole).hexdigest()
