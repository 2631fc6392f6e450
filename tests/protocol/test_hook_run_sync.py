"""Synchronous runs through the hook, against the emulator and a scripted host over real sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import threading
import time
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from airflow_ltx.exceptions import (
    DestinationError,
    DownloadFailed,
    InsufficientCredits,
    NotSent,
    RequestRejected,
    SubmitOutcomeUnknown,
)
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.segmind.models import State
from segmind_service import BLOCKED_WORD, KEY, connection
from tests.protocol.file_host import FileHost, Peer, Request, answer, chunked

PROMPT = {"prompt": "a lighthouse at dusk", "seed": 7}
MODEL = "wan-2.2-t2v-fast"
MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00" + bytes(range(256)) * 4000
HEADERS = {"content_type": "video/mp4", "x_request_id": "a" * 32, "x_cost": "0.1"}


@pytest.fixture(params=["sync", "async"])
def run(request):
    """One run through the hook, from ordinary and from async code."""

    def go(path: Path, parameters=PROMPT, model=MODEL, conn_id="segmind_default", **options):
        hook = SegmindHook(conn_id)
        if request.param == "sync":
            return hook.run_sync(model, parameters, path, **options)
        return asyncio.run(hook.arun_sync(model, parameters, path, **options))

    return go


@pytest.fixture
def host(monkeypatch):
    """A file host that also takes what is posted to it: closing over unread bytes would reset the answer."""
    scripted, stopping = FileHost(0), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.do_GET()

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            scripted.requests.append(Request(self.path, headers))
            script = scripted.answers.get(self.path.partition("?")[0]) or [answer(404)]
            mine = script.pop(0) if len(script) > 1 else script[0]
            with contextlib.suppress(OSError):
                mine(Peer(self.wfile.write, stopping)) if callable(mine) else self.wfile.write(mine)

        def log_message(self, *args: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        scripted.port = server.server_address[1]
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        serving.start()
        monkeypatch.setenv("AIRFLOW_CONN_HOST", connection(scripted.url("")))
        try:
            yield scripted
        finally:
            stopping.set()
            server.shutdown()
            serving.join()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_call_brings_the_file_and_is_billed_once(segmind, run, tmp_path):
    result = run(tmp_path / "v.mp4")
    (submission,) = segmind.ledger.submissions
    content = (tmp_path / "v.mp4").read_bytes()
    assert content[4:8] == b"ftyp"
    assert (result.path, result.size, result.sha256, result.content_type) == (
        tmp_path / "v.mp4", len(content), hashlib.sha256(content).hexdigest(), "video/mp4",
    )  # fmt: skip
    assert (result.request_id, result.seed) == (submission.request_id, 7)
    assert result.cost == pytest.approx(segmind.ledger.billed_total())
    assert result.remaining_credits == pytest.approx(100 - result.cost)
    assert result.generation_time == pytest.approx(0.05)
    assert submission.endpoint == "sync"
    assert submission.body == PROMPT
    assert names(tmp_path) == ["v.mp4"]


def test_the_history_knows_a_run_by_the_id_of_its_answer(segmind, run, tmp_path):
    result = run(tmp_path / "v.mp4")
    entry = SegmindHook().history_entry(result.request_id)
    assert (entry.state, entry.cost, entry.parameters) == (State.COMPLETED, result.cost, PROMPT)


def test_a_lost_answer_is_final_and_billed_once(segmind, run, tmp_path):
    segmind.add_faults("sync:after:reset")
    with pytest.raises(SubmitOutcomeUnknown, match="may exist and be billed") as caught:
        run(tmp_path / "v.mp4")
    assert caught.value.request_id is None
    assert not caught.value.retryable
    assert len(segmind.ledger.purchases()) == 1
    assert names(tmp_path) == []
    (entry,) = SegmindHook().history(model=MODEL).entries
    assert entry.request_id == segmind.ledger.purchases()[0].request_id


@pytest.mark.parametrize("received", [0, 1, 5000])
def test_a_file_cut_off_midway_is_billed_once_and_can_be_fetched_all_the_same(
    segmind, run, tmp_path, received
):
    (tmp_path / "v.mp4").write_bytes(b"the old film")
    segmind.add_faults(f"sync:after:truncate:{received}")
    with pytest.raises(SubmitOutcomeUnknown, match="probably billed") as caught:
        run(tmp_path / "v.mp4")
    assert (tmp_path / "v.mp4").read_bytes() == b"the old film"
    assert names(tmp_path) == ["v.mp4"]
    (request_id,) = segmind.ledger.billed_requests()
    assert caught.value.request_id == request_id
    assert f"history_entry('{request_id}')" in caught.value.message
    assert SegmindHook().history_entry(request_id).outputs


@pytest.mark.parametrize("fault", ["500", "503", "504", "html", "empty", "408"])
def test_an_answer_that_is_no_file_is_final_and_billed_once(segmind, run, tmp_path, fault):
    segmind.add_faults(f"sync:after:{fault}")
    with pytest.raises(SubmitOutcomeUnknown):
        run(tmp_path / "v.mp4")
    assert len(segmind.ledger.purchases()) == 1
    assert names(tmp_path) == []


def test_silence_is_given_up_after_the_runs_own_timeout(segmind, run, tmp_path):
    segmind.add_faults("sync:after:stall:30")
    begun = time.monotonic()
    with pytest.raises(SubmitOutcomeUnknown, match="ReadTimeout"):
        run(tmp_path / "v.mp4", timeout=0.5)
    assert time.monotonic() - begun < 10
    assert len(segmind.ledger.purchases()) == 1


def test_a_run_may_take_longer_than_other_calls_may(segmind, run, tmp_path, monkeypatch):
    fields = json.loads(connection(segmind.base_url))
    fields["extra"] = json.dumps({"timeout": 0.2})
    monkeypatch.setenv("AIRFLOW_CONN_HASTY", json.dumps(fields))
    segmind.configure(inference_seconds=1.5)
    assert run(tmp_path / "v.mp4", conn_id="hasty").size > 1000


def test_the_limit_of_the_service_is_told_with_the_way_out(segmind, run, tmp_path):
    segmind.configure(inference_seconds=30.0, sync_limit_seconds=0.3)
    with pytest.raises(SubmitOutcomeUnknown, match=r"Internal Polling Error.*submit such models") as caught:
        run(tmp_path / "v.mp4")
    assert caught.value.request_id == segmind.ledger.submissions[0].request_id
    assert len(segmind.ledger.submissions) == 1


def test_refusals_cost_nothing_and_are_final(segmind, run, tmp_path):
    with pytest.raises(RequestRejected, match="Nothing was billed"):
        run(tmp_path / "v.mp4", {"prompt": BLOCKED_WORD})
    segmind.configure(credits=0.0)
    with pytest.raises(InsufficientCredits, match="Nothing was billed"):
        run(tmp_path / "v.mp4")
    assert len(segmind.ledger.submissions) == 2
    assert segmind.ledger.billed_total() == 0
    assert names(tmp_path) == []


def test_a_full_minute_is_waited_for_and_bought_once(segmind, run, tmp_path):
    segmind.add_faults("sync:before:429:1")
    assert run(tmp_path / "v.mp4").size > 1000
    assert len(segmind.ledger.purchases()) == 1


def test_nobody_listening_costs_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_NOBODY", connection("http://127.0.0.1:9"))
    with pytest.raises(NotSent, match="nothing is billed"):
        run(tmp_path / "v.mp4", conn_id="nobody")


def test_a_path_that_cannot_be_written_costs_nothing(segmind, run, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DestinationError, match="Nothing was sent or billed"):
        run(tmp_path / "file" / "v.mp4")
    with pytest.raises(DestinationError, match="is a folder"):
        run(tmp_path)
    assert segmind.ledger.submissions == []


def test_a_folder_that_goes_away_while_the_run_is_paid_for_is_told_with_the_id(segmind, run, tmp_path):
    segmind.configure(inference_seconds=0.6)
    folder = tmp_path / "new"

    def spoil() -> None:
        while not segmind.ledger.submissions:
            time.sleep(0.01)
        folder.rmdir()
        folder.write_bytes(b"")

    spoiling = threading.Thread(target=spoil)
    spoiling.start()
    with pytest.raises(DestinationError, match="made and billed") as caught:
        run(folder / "v.mp4")
    spoiling.join()
    assert [caught.value.request_id] == segmind.ledger.billed_requests()
    assert not caught.value.retryable


def test_a_large_file_takes_no_memory(run, host, tmp_path):
    piece = bytes(2**20)
    pieces = 200

    def send(peer):
        head = answer(200, b"", length=pieces * len(piece), **HEADERS)
        peer.send(head)
        for _ in range(pieces):
            peer.send(piece)

    host.serve(send, path=f"/v1/{MODEL}")
    run(tmp_path / "warm", conn_id="host")
    tracemalloc.start()
    result = run(tmp_path / "v.mp4", conn_id="host")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.size == pieces * len(piece)
    assert peak < 16 * 2**20


@pytest.mark.parametrize("raw", [answer(200, MP4, **HEADERS), chunked(MP4[:9], MP4[9:], **HEADERS)])
def test_a_whole_file_is_taken_whatever_its_framing(run, host, tmp_path, raw):
    host.serve(raw, path=f"/v1/{MODEL}")
    assert run(tmp_path / "v.mp4", conn_id="host").sha256 == hashlib.sha256(MP4).hexdigest()


@pytest.mark.parametrize(
    "raw",
    [
        answer(200, MP4, length=len(MP4) + 1, **HEADERS),
        chunked(MP4[:9], end=False, **HEADERS),
        answer(200, b"", **HEADERS),
        answer(200, b"", length=-1, **HEADERS),
    ],
    ids=["short", "chunks cut", "empty", "empty until closed"],
)
def test_a_file_that_is_not_whole_is_probably_billed(run, host, tmp_path, raw):
    host.serve(raw, path=f"/v1/{MODEL}")
    with pytest.raises(SubmitOutcomeUnknown, match="probably billed") as caught:
        run(tmp_path / "v.mp4", conn_id="host")
    assert caught.value.request_id == "a" * 32
    assert len(host.requests) == 1
    assert names(tmp_path) == []


def test_an_answer_that_drips_is_given_up(run, host, tmp_path):
    def drip(peer):
        peer.send(answer(200, b"", length=100, **HEADERS))
        peer.drip(bytes(99), every=0.3)

    host.serve(drip, path=f"/v1/{MODEL}")
    begun = time.monotonic()
    with pytest.raises(SubmitOutcomeUnknown, match="probably billed"):
        run(tmp_path / "v.mp4", conn_id="host", timeout=0.5)
    assert time.monotonic() - begun < 15
    assert names(tmp_path) == []


def test_base64_in_json_is_the_file(run, host, tmp_path):
    body = json.dumps({"video": base64.b64encode(MP4).decode()}).encode()
    host.serve(answer(200, body, **{**HEADERS, "content_type": "application/json"}), path=f"/v1/{MODEL}")
    result = run(tmp_path / "v.mp4", conn_id="host")
    assert (result.sha256, result.content_type) == (hashlib.sha256(MP4).hexdigest(), "video/mp4")


def named(host) -> bytes:
    body = json.dumps({"video": {"url": host.url("/made.mp4?sig=SIGNED")}, "status": "COMPLETED"}).encode()
    return answer(200, body, **{**HEADERS, "content_type": "application/json"})


def test_a_file_that_the_answer_only_names_is_fetched_without_the_key(run, host, tmp_path):
    host.serve(named(host), path=f"/v1/{MODEL}")
    host.serve(answer(503), answer(200, MP4, content_type="video/mp4"), path="/made.mp4")
    result = run(tmp_path / "v.mp4", conn_id="host")
    assert (result.sha256, result.request_id) == (hashlib.sha256(MP4).hexdigest(), "a" * 32)
    assert [request.path.partition("?")[0] for request in host.requests] == [
        f"/v1/{MODEL}", "/made.mp4", "/made.mp4",
    ]  # fmt: skip
    assert all(KEY not in str(request.headers) for request in host.requests[1:])


def test_a_named_file_that_is_gone_is_told_with_the_money_and_the_place(run, host, tmp_path):
    host.serve(named(host), path=f"/v1/{MODEL}")
    with pytest.raises(DownloadFailed, match="made and billed") as caught:
        run(tmp_path / "v.mp4", conn_id="host")
    assert host.url("/made.mp4") in caught.value.message
    assert "SIGNED" not in caught.value.message
    assert (caught.value.request_id, caught.value.retryable) == ("a" * 32, False)
    assert names(tmp_path) == []


async def test_an_event_loop_goes_on_while_a_run_is_written(segmind, tmp_path):
    segmind.configure(inference_seconds=0.5)
    running = asyncio.create_task(SegmindHook().arun_sync(MODEL, PROMPT, tmp_path / "v.mp4"))
    ticks = 0
    while not running.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert (await running).size > 1000
    assert ticks > 10
