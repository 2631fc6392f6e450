"""The emulator on a real socket: transport effects, files, many callers, steering."""

from __future__ import annotations

import asyncio
import http.client
import json
import resource
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from airflow_ltx.emulator import FaultRule, Settings, running_emulator
from airflow_ltx.emulator.files import FileStore
from airflow_ltx.emulator.resolution import VideoPlan
from airflow_ltx.emulator.server import EmulatorServer

SMALL = "wan-2.2-t2v-fast"
KEYED = {"x-api-key": "SG_key", "content-type": "application/json"}


@pytest.fixture
def emulator():
    with running_emulator(Settings(queue_seconds=0.0, inference_seconds=0.0)) as running:
        yield running


@contextmanager
def answered(base_url, method, path, body=None, headers=KEYED):
    """One request over a connection of its own."""
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=20)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path.removeprefix(base_url), content, headers)
        yield connection.getresponse()
    finally:
        connection.close()


def ask(base_url, method, path, body=None, headers=KEYED):
    with answered(base_url, method, path, body, headers) as response:
        return response.status, response.headers, response.read()


def submit(emulator, slug=SMALL, **parameters):
    status, _, body = ask(emulator.base_url, "POST", f"/v2/{slug}", {"prompt": "a pond", **parameters})
    assert status == 200, body
    return json.loads(body)["request_id"]


def video_url(emulator, request_id):
    return json.loads(ask(emulator.base_url, "GET", f"/v2/requests/{request_id}")[2])["output"]


def test_a_file_is_served_whole_in_part_and_by_its_headers(emulator):
    url = video_url(emulator, submit(emulator))
    status, headers, content = ask(emulator.base_url, "GET", url, headers={})
    assert (status, headers["Content-Type"], int(headers["Content-Length"])) == (
        200,
        "video/mp4",
        len(content),
    )
    assert content[4:8] == b"ftyp"
    status, headers, part = ask(emulator.base_url, "GET", url, headers={"Range": "bytes=100-199"})
    assert (status, part) == (206, content[100:200])
    assert headers["Content-Range"] == f"bytes 100-199/{len(content)}"
    status, headers, nothing = ask(emulator.base_url, "HEAD", url, headers={})
    assert (status, nothing, int(headers["Content-Length"])) == (200, b"", len(content))
    assert ask(emulator.base_url, "GET", url, headers={"If-None-Match": headers["Etag"]})[0] == 304
    assert emulator.ledger.downloads() == 3
    assert emulator.ledger.downloads_with_key() == 0
    ask(emulator.base_url, "GET", url)
    assert emulator.ledger.downloads_with_key() == 1


def test_a_result_names_the_size_once_the_file_is_there(emulator):
    request_id = submit(emulator)
    ask(emulator.base_url, "GET", f"/v2/requests/{request_id}/status")
    for _ in range(1000):
        body = json.loads(ask(emulator.base_url, "GET", f"/v2/requests/{request_id}")[2])
        if "file_size" in body["video"]:
            break
        time.sleep(0.02)
    content = ask(emulator.base_url, "GET", body["output"], headers={})[2]
    assert body["video"]["file_size"] == str(len(content))


def test_files_are_as_large_as_was_set_when_their_request_was_submitted(emulator):
    emulator.configure(least_bytes=2_000_000)
    large = submit(emulator)
    emulator.configure(least_bytes=0)
    small = submit(emulator)
    sizes = [len(ask(emulator.base_url, "GET", video_url(emulator, each))[2]) for each in (large, small)]
    assert sizes[0] == 2_000_000 > sizes[1] * 2


def test_the_synchronous_api_sends_the_bytes_of_the_file(emulator):
    emulator.configure(inference_seconds=0.3)
    started = time.monotonic()
    status, headers, content = ask(emulator.base_url, "POST", f"/v1/{SMALL}", {"prompt": "a pond"})
    assert time.monotonic() - started >= 0.3
    assert (status, headers["Content-Type"], content[4:8]) == (200, "video/mp4", b"ftyp")
    assert (
        ask(emulator.base_url, "GET", video_url(emulator, headers["x-request-id"]), headers={})[2] == content
    )


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_reset_is_a_reset_with_no_byte_of_an_answer(emulator, when):
    emulator.set_faults(f"submit:{when}:reset")
    address = urlsplit(emulator.base_url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        body = b'{"prompt": "a pond"}'
        head = f"POST /v2/{SMALL} HTTP/1.1\r\nHost: x\r\nx-api-key: k\r\ncontent-type: application/json\r\n"
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert len(emulator.ledger.purchases()) == {"before": 0, "after": 1}[when]
    submit(emulator)


def test_a_cut_file_announces_all_and_ends_after_some(emulator):
    url = video_url(emulator, submit(emulator))
    whole = ask(emulator.base_url, "GET", url, headers={})[2]
    emulator.set_faults("download:after:truncate:1000")
    with answered(emulator.base_url, "GET", url, headers={}) as response:
        assert int(response.headers["content-length"]) == len(whole)
        with pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
    assert caught.value.partial == whole[:1000]
    assert ask(emulator.base_url, "GET", url, headers={})[2] == whole


def test_a_json_answer_can_be_cut_too(emulator):
    emulator.set_faults("credits:before:truncate:5")
    with (
        answered(emulator.base_url, "GET", "/v1/get-user-credits") as response,
        pytest.raises(http.client.IncompleteRead) as caught,
    ):
        response.read()
    assert caught.value.partial == b'{"cre'


def test_a_slow_line_takes_its_time(emulator):
    url = video_url(emulator, submit(emulator))
    whole = ask(emulator.base_url, "GET", url, headers={})[2]
    emulator.set_faults(f"download:after:slow:{len(whole) / 0.4}")
    started = time.monotonic()
    assert ask(emulator.base_url, "GET", url, headers={})[2] == whole
    assert time.monotonic() - started >= 0.35


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_stalled_answer_comes_late(emulator, when):
    emulator.set_faults(f"submit:{when}:stall:0.3")
    started = time.monotonic()
    submit(emulator)
    assert time.monotonic() - started >= 0.3
    assert len(emulator.ledger.purchases()) == 1


@pytest.mark.parametrize(("when", "bought"), [("before", 0), ("after", 1)])
def test_a_caller_that_hangs_up_during_a_stall_bought_only_what_had_taken_effect(emulator, when, bought):
    emulator.set_faults(f"submit:{when}:stall:1")
    connection = http.client.HTTPConnection(urlsplit(emulator.base_url).netloc, timeout=0.1)
    connection.request("POST", f"/v2/{SMALL}", '{"prompt": "a pond"}', KEYED)
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    time.sleep(1.3)
    assert len(emulator.ledger.purchases()) == bought


def test_a_redirect_leads_where_it_says(emulator):
    emulator.set_faults("status:before:redirect:http://127.0.0.1:1/elsewhere")
    status, headers, _ = ask(emulator.base_url, "GET", f"/v2/requests/{submit(emulator)}/status")
    assert (status, headers["Location"]) == (302, "http://127.0.0.1:1/elsewhere")


def test_it_can_be_steered_over_http(emulator):
    base = emulator.base_url
    assert json.loads(ask(base, "GET", "/_emulator/health")[2])["status"] == "ok"
    ask(base, "POST", "/_emulator/settings", {"inference_seconds": [500, 500]})
    request_id = submit(emulator)
    status_path = f"/v2/requests/{request_id}/status"
    assert json.loads(ask(base, "GET", status_path)[2])["status"] == "PROCESSING"
    before = json.loads(ask(base, "GET", "/_emulator/health")[2])["time"]
    assert json.loads(ask(base, "POST", "/_emulator/advance", {"seconds": 500})[2])["time"] >= before + 500
    assert json.loads(ask(base, "GET", status_path)[2])["status"] == "COMPLETED"
    rules = ["status:before:503", {"endpoint": "status", "when": "before", "action": "502", "times": None}]
    assert len(json.loads(ask(base, "POST", "/_emulator/faults", rules)[2])["faults"]) == 2
    assert [ask(base, "GET", status_path)[0] for _ in range(3)] == [503, 502, 502]
    more = json.loads(ask(base, "PATCH", "/_emulator/faults", ["credits:before:500"])[2])["faults"]
    assert [rule["action"] for rule in more] == ["503", "502", "500"]
    # The first rule has acted its once, and adding another does not give it a second time.
    assert ask(base, "GET", status_path)[0] == 502
    assert json.loads(ask(base, "DELETE", "/_emulator/faults")[2]) == {"faults": []}
    assert ask(base, "GET", status_path)[0] == 200
    book = json.loads(ask(base, "GET", "/_emulator/ledger")[2])
    assert book["billed_requests"] == [request_id]
    assert "SG_key" not in json.dumps(book)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"endpoint": "submit"}),
        ("faults", ["submit:before:explode"]),
        ("settings", {"seed": 1}),
        ("settings", [1]),
        ("settings", {"queue_seconds": -1}),
        ("advance", {"seconds": -1}),
        ("advance", {"seconds": "1"}),
        ("advance", []),
    ],
)
def test_orders_that_make_no_sense_are_refused_with_a_reason(emulator, path, body):
    for method in ("POST", "PATCH") if path == "faults" else ("POST",):
        status, _, answer = ask(emulator.base_url, method, f"/_emulator/{path}", body)
        assert status == 400
        assert len(json.loads(answer)["error"]) > 10


def test_advancing_ends_a_synchronous_wait(emulator):
    emulator.configure(inference_seconds=90.0)
    done = []
    caller = threading.Thread(
        target=lambda: done.append(ask(emulator.base_url, "POST", f"/v1/{SMALL}", {"prompt": "x"})[0])
    )
    caller.start()
    while not emulator.ledger.submissions:
        time.sleep(0.01)
    emulator.advance(90)
    caller.join(timeout=15)
    assert done == [200]


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip(f"{hard} open files are allowed, and 4096 are needed: raise ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_thousand_callers_at_once_are_answered_while_videos_render(emulator, many_files):
    callers = 1200
    request_id = submit(emulator)
    films = [video_url(emulator, submit(emulator, "ltx-video", target_size=512)) for _ in range(4)]
    url = f"{emulator.base_url}/v2/requests/{request_id}/status"
    emulator.configure(prerender=False)
    emulator.set_faults(FaultRule("status", "after", "stall:1", times=callers, match=request_id))
    async with aiohttp.ClientSession(
        headers=KEYED, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(60)
    ) as session:

        async def poll():
            async with session.get(url) as response:
                return response.status, (await response.json())["status"]

        async def fetch(film):
            async with session.get(film) as response:
                return len(await response.read())

        # Everyone is held for a second, so that all are connected at the same time.
        rendering = [asyncio.create_task(fetch(film)) for film in films]
        answers = await asyncio.gather(*(poll() for _ in range(callers)))
        assert set(answers) == {(200, "COMPLETED")}
        assert emulator.ledger.of(request_id).polls == callers
        assert min(await asyncio.gather(*rendering)) > 100_000


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    threads = set(threading.enumerate())
    with running_emulator(Settings(queue_seconds=0.0, inference_seconds=0.0)) as emulator:
        ask(emulator.base_url, "GET", video_url(emulator, submit(emulator)), headers={})
        assert len(list(tmp_path.iterdir())) == 1
        # A film of many seconds is being rendered when the end comes.
        video_url(emulator, submit(emulator, "ltx-video", target_size=1024, length=257))
        address = urlsplit(emulator.base_url)
    assert set(threading.enumerate()) <= threads
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port))


def test_a_taken_port_is_an_error_and_leaves_nothing(emulator):
    threads = threading.active_count()
    with pytest.raises(OSError), running_emulator(port=urlsplit(emulator.base_url).port):
        pass
    assert threading.active_count() == threads


async def test_the_server_can_live_in_a_loop_of_its_owner():
    server = EmulatorServer(Settings())
    await server.start()
    try:
        async with (
            aiohttp.ClientSession(headers=KEYED) as session,
            session.get(f"{server.base_url}/v1/get-user-credits") as response,
        ):
            assert await response.json() == {"credits": 100.0, "free-credits": 0.0}
    finally:
        await server.stop()
    await server.stop()


async def test_a_file_is_rendered_once_for_all_and_anew_after_it_was_dropped():
    rendered: list[str] = []
    store = FileStore(lambda plan, _: rendered.append(plan.file_name), lambda _: 1_800_000_000.0, limit=2)
    plans = [VideoPlan(str(n), f"{n}.mp4", "m", "p", n, 64, 64, 3, 24) for n in range(3)]

    async def fetch(plan: VideoPlan) -> tuple[bytes, float]:
        async with store.held(plan) as path:
            return _content(path)

    try:
        first = await asyncio.gather(*(fetch(plans[0]) for _ in range(5)))
        assert (rendered, len(set(first))) == (["0.mp4"], 1)
        async with store.held(plans[0]) as held:
            for plan in plans[1:]:
                await fetch(plan)
            await fetch(plans[1])
            assert _content(held) == first[0]
        await fetch(plans[2])
        assert rendered == ["0.mp4", "1.mp4", "2.mp4"]
        assert not held.exists()
        assert await fetch(plans[0]) == first[0]
        assert rendered == ["0.mp4", "1.mp4", "2.mp4", "0.mp4"]
    finally:
        await store.close()


def _content(path: Path) -> tuple[bytes, float]:
    return path.read_bytes(), path.stat().st_mtime
