from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_ltx import exceptions as e
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.losses import LARGEST_ANSWER
from airflow_ltx.segmind.models import SyncResult
from airflow_ltx.segmind.sync_run import is_file, prepare
from airflow_ltx.segmind.whole_file import WholeFile
from tests.unit.segmind.support import CONFIG, KEY, REQUEST_ID, Service, run
from tests.unit.segmind.sync_support import (
    BASE64,
    HEADERS,
    MP4,
    buy,
    everything,
    everywhere,
    in_pieces,
    made,
    told,
)


@everywhere
def test_the_file_and_all_that_its_headers_tell(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "new" / "v.mp4"
    assert buy(kind, Service([made()]), target) == SyncResult(
        path=target,
        size=len(MP4),
        sha256=hashlib.sha256(MP4).hexdigest(),
        content_type="video/mp4",
        request_id=REQUEST_ID,
        cost=0.0575,
        remaining_credits=12.3,
        generation_time=54.9,
        seed=7,
    )
    assert target.read_bytes() == MP4
    assert everything(target.parent) == ["v.mp4"]


@everywhere
def test_one_request_goes_out_and_asks_for_the_bytes_as_they_are(kind: str, tmp_path: Path) -> None:
    service = Service([made()])
    buy(kind, service, tmp_path / "v", timeout=120.0)
    (request,) = service.requests
    assert (request.method, str(request.url)) == ("POST", "https://api.segmind.com/v1/veo-3.1")
    assert json.loads(request.content) == {"prompt": "p"}
    assert request.headers["x-api-key"] == KEY
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["content-type"] == "application/json"
    # The client's own timeout, made for answers of some KB, would end a run in the middle.
    assert request.extensions["timeout"]["read"] == 120.0
    assert CONFIG.timeout < 100


@everywhere
def test_an_answer_is_given_longer_than_the_service_takes_to_give_up(kind: str, tmp_path: Path) -> None:
    service = Service([made()])
    config = ClientConfig(api_key=KEY, timeout=5.0)
    run(kind, service, lambda c: c.run_sync("m", {}, tmp_path / "v"), config=config)
    assert service.requests[0].extensions["timeout"]["read"] > 100


@everywhere
@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "1_0", "-"])
def test_a_number_that_is_none_is_not_known(kind: str, value: str, tmp_path: Path) -> None:
    result = buy(kind, Service([made(x_cost=value, x_seed_value=value)]), tmp_path / "v")
    assert (result.cost, result.seed) == (None, None)


@everywhere
@pytest.mark.parametrize("name", [name for name in HEADERS if name != "content-type"])
@pytest.mark.parametrize("value", [None, "", "so on", "../x y"])
def test_no_header_has_to_be_there_or_to_make_sense(
    kind: str, name: str, value: str | None, tmp_path: Path
) -> None:
    headers = {key: text for key, text in HEADERS.items() if key != name}
    if value is not None:
        headers[name] = value
    result = buy(kind, Service([httpx.Response(200, headers=headers, content=MP4)]), tmp_path / "v")
    values = [result.request_id, result.cost, result.remaining_credits, result.generation_time, result.seed]
    assert values.count(None) == 1
    assert result.size == len(MP4)


@everywhere
@pytest.mark.parametrize(
    ("announced", "content_type"),
    [
        ("video/mp4; codecs=avc1", "video/mp4"),
        ("VIDEO/MP4", "video/mp4"),
        ("application/octet-stream", "video/mp4"),
        ("binary/octet-stream", "video/mp4"),
        ("nonsense", "video/mp4"),
        ("image/png", "image/png"),
    ],
)
def test_the_kind_of_file_is_the_announced_one_or_its_first_bytes(
    kind: str, announced: str, content_type: str, tmp_path: Path
) -> None:
    assert buy(kind, Service([made(content_type=announced)]), tmp_path / "v").content_type == content_type
    assert buy(kind, Service([made(b"?", content_type="a/b")]), tmp_path / "v").content_type == "a/b"


@pytest.mark.parametrize(
    ("status", "kind", "file"),
    [
        (200, "video/mp4", True),
        (200, "", True),
        (200, "image/svg", True),
        (200, "application/json", False),
        (200, "application/problem+json; charset=utf-8", False),
        (200, "text/html", False),
        (200, "text/plain", False),
        (200, "application/xml", False),
        (500, "video/mp4", False),
        (206, "video/mp4", False),
        (302, "video/mp4", False),
    ],
)
def test_what_is_written_as_it_comes(status: int, kind: str, file: bool) -> None:
    assert is_file(status, {"content-type": kind}) is file
    assert is_file(status, {}) is (status == 200)


@everywhere
@pytest.mark.parametrize("below", [".", "folder", "file/v.mp4", "n" * 300, "a\0b", "a\ud800b"])
def test_a_path_that_cannot_be_written_costs_nothing(kind: str, below: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    service = Service([made()])
    with pytest.raises(e.DestinationError, match="Nothing was sent or billed") as caught:
        buy(kind, service, tmp_path / below)
    assert service.requests == []
    assert caught.value.retryable
    assert everything(tmp_path) == ["file", "folder"]


@everywhere
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("../x", {}, "v"), "slug"),
        (("m", {"x": float("nan")}, "v"), "plain JSON"),
        (("m", {"x": object()}, "v"), "plain JSON"),
    ],
)
def test_what_cannot_be_sent_touches_no_disk(
    kind: str, arguments: tuple[Any, ...], message: str, tmp_path: Path
) -> None:
    model, parameters, name = arguments
    with pytest.raises(e.InvalidParameter, match=message):
        run(kind, Service([made()]), lambda c: c.run_sync(model, parameters, tmp_path / "new" / name))
    assert everything(tmp_path) == []


@everywhere
@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1e9, "60", None])
def test_a_timeout_that_no_socket_can_have_is_refused(kind: str, timeout: Any, tmp_path: Path) -> None:
    service = Service([made()])
    with pytest.raises(e.InvalidParameter, match="timeout"):
        buy(kind, service, tmp_path / "v", timeout=timeout)
    assert service.requests == []


def test_a_file_in_this_folder_needs_no_folder_in_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert buy("sync", Service([made()]), "v.mp4").size == len(MP4)  # type: ignore[arg-type]
    assert everything(tmp_path) == ["v.mp4"]
    with pytest.raises(e.DestinationError):
        prepare("")


@everywhere
@pytest.mark.parametrize("status", [200, 422])
def test_a_run_that_failed_is_told_as_one(kind: str, status: int, tmp_path: Path) -> None:
    body = {"status": "FAILED", "error": "out of memory"}
    with pytest.raises(e.RequestFailed, match=r"out of memory.*not billed") as caught:
        buy(kind, Service([told(body, status, x_request_id=REQUEST_ID)]), tmp_path / "v")
    assert caught.value.request_id == REQUEST_ID
    assert caught.value.retryable


@everywhere
def test_a_failure_that_cost_something_says_so(kind: str, tmp_path: Path) -> None:
    body = {"status": "FAILED", "error": "nsfw content"}
    with pytest.raises(e.ContentBlocked, match=r"The request was refused.*\$0.05") as caught:
        buy(kind, Service([told(body, x_cost="0.05")]), tmp_path / "v")
    assert (caught.value.cost, caught.value.request_id) == (0.05, None)


@everywhere
@pytest.mark.parametrize(
    "body",
    [
        {"video": BASE64},
        {"image": BASE64},
        {"output": f"data:video/mp4;base64,{BASE64}"},
        {"output": [BASE64]},
        {"images": [{"data": BASE64}]},
        {"output": {"url": f"data:video/mp4;base64,{BASE64}"}},
        {"prompt": "AAAA" * 10, "output": ["too short", "AAAA" * 10, BASE64]},
    ],
)
def test_a_file_as_base64_in_json_is_written(kind: str, body: Any, tmp_path: Path) -> None:
    answer = told(
        body, **{name.replace("-", "_"): text for name, text in HEADERS.items() if name != "content-type"}
    )
    result = buy(kind, Service([answer]), tmp_path / "v")
    assert (tmp_path / "v").read_bytes() == MP4
    assert (result.size, result.content_type, result.request_id, result.seed) == (
        len(MP4), "video/mp4", REQUEST_ID, 7,
    )  # fmt: skip
    assert everything(tmp_path) == ["v"]


@everywhere
def test_a_data_url_of_a_kind_without_known_first_bytes_is_a_file_too(kind: str, tmp_path: Path) -> None:
    sound = base64.b64encode(b"RIFF....WAVEfmt and so on").decode()
    result = buy(kind, Service([told({"audio": f"data:audio/wav;base64,{sound}"})]), tmp_path / "v")
    assert (result.content_type, result.request_id, result.cost) == ("audio/wav", None, None)


@everywhere
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>log in</html>", headers={"content-type": "text/html"}),
        httpx.Response(200, text="a poem", headers={"content-type": "text/plain"}),
        httpx.Response(200, text='{"video": "', headers={"content-type": "application/json"}),
        httpx.Response(204),
        httpx.Response(202, json={"request_id": REQUEST_ID, "status": "QUEUED"}),
        told({}),
        told([MP4.hex()]),
        told({"error": "something"}),
        told({"video": None, "output": "a text of some length"}),
        told({"output": "aGVsbG8gd29ybGQsIHRoaXMgaXMgdGV4dA=="}),
        told({"choices": [{"message": {"content": "a poem"}}]}),
    ],
)
def test_a_success_without_a_file_is_no_success(kind: str, answer: httpx.Response, tmp_path: Path) -> None:
    service = Service([answer, made()])
    with pytest.raises(e.SubmitOutcomeUnknown, match=r"no file.*probably billed"):
        buy(kind, service, tmp_path / "v")
    assert len(service.requests) == 1
    assert everything(tmp_path) == []


@everywhere
def test_json_without_end_is_cut(kind: str, tmp_path: Path) -> None:
    million = b" " * 2**20
    handler = in_pieces(*[million] * (LARGEST_ANSWER // 2**20 + 5), content_type="application/json")
    with pytest.raises(e.SubmitOutcomeUnknown, match="MiB") as caught:
        buy(kind, handler, tmp_path / "v")
    assert caught.value.request_id == REQUEST_ID


TEXTS = [
    (b"<html>a captive portal</html>", e.SubmitOutcomeUnknown, "an HTML page"),
    (b"\xef\xbb\xbf\r\n  <!doctype html><title>x</title>", e.SubmitOutcomeUnknown, "no file"),
    (b'{"status": "FAILED", "error": "boom"}', e.RequestFailed, "boom"),
    (b"  []", e.SubmitOutcomeUnknown, "no file"),
    (b"  \n", e.SubmitOutcomeUnknown, "no file"),
    (b"", e.SubmitOutcomeUnknown, "no file"),
]


@everywhere
@pytest.mark.parametrize("announced", ["", "application/octet-stream", "binary/octet-stream", "nonsense"])
@pytest.mark.parametrize(("content", "error", "says"), TEXTS)
def test_text_that_nobody_called_text_is_no_file(
    kind: str, announced: str, content: bytes, error: type[e.SegmindError], says: str, tmp_path: Path
) -> None:
    pieces = [content[at : at + 1] for at in range(len(content))]
    for handler in (
        in_pieces(content, content_type=announced),
        in_pieces(*pieces, content_type=announced),
    ):
        with pytest.raises(error, match=says):
            buy(kind, handler, tmp_path / "v")
        assert everything(tmp_path) == []


@everywhere
@pytest.mark.parametrize("content", [MP4, b"  " + MP4, b"\xef\xbb" + MP4])
def test_a_file_that_nobody_named_is_written_from_its_first_byte(
    kind: str, content: bytes, tmp_path: Path
) -> None:
    handler = in_pieces(content[:1], content[1:2], content[2:], content_type="application/octet-stream")
    assert buy(kind, handler, tmp_path / "v").size == len(content)
    assert (tmp_path / "v").read_bytes() == content


@everywhere
def test_a_page_that_was_called_a_video_is_believed(kind: str, tmp_path: Path) -> None:
    """The service's word counts: a kind of file may begin with any byte."""
    assert buy(kind, in_pieces(b"<svg/>", content_type="image/svg"), tmp_path / "v").size == 6


@everywhere
@pytest.mark.parametrize("path", [None, b"/tmp/x", 3])
def test_what_is_no_path_is_told_before_anything_is_sent(kind: str, path: Any) -> None:
    service = Service([made()])
    with pytest.raises(e.InvalidParameter, match=r"path is .* must be a str or a pathlib.Path"):
        buy(kind, service, path)
    assert service.requests == []


@everywhere
def test_what_is_no_file_is_never_replaced(kind: str, tmp_path: Path) -> None:
    fifo, listening = tmp_path / "fifo", tmp_path / "socket"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listening))
        for target in (fifo, listening, Path("/dev/null")):
            service = Service([made()])
            with pytest.raises(e.DestinationError, match="Nothing was sent or billed"):
                buy(kind, service, target)
            assert service.requests == []
    assert stat.S_ISFIFO(fifo.lstat().st_mode)
    assert stat.S_ISSOCK(listening.lstat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").lstat().st_mode)
    assert everything(tmp_path) == ["fifo", "socket"]


def test_what_became_no_file_after_the_check_is_not_replaced_either(tmp_path: Path) -> None:
    with WholeFile(tmp_path / "v") as file:
        file.write(b"x")
        os.mkfifo(tmp_path / "v")
        with pytest.raises(e.DestinationError, match="no regular file"):
            file.publish()
    assert stat.S_ISFIFO((tmp_path / "v").lstat().st_mode)
    assert everything(tmp_path) == ["v"]
    with pytest.raises(e.DestinationError, match="no regular file"), WholeFile(tmp_path / "v"):
        pass


@everywhere
def test_a_link_is_replaced_and_what_it_leads_to_stays(kind: str, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "v").symlink_to("old")
    buy(kind, Service([made()]), tmp_path / "v")
    assert not (tmp_path / "v").is_symlink()
    assert (tmp_path / "old").read_bytes() == b"old"
