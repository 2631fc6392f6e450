"""Base URLs as people write them, and connections that are missing or cannot work."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from complaints import PROMPT

from airflow_ltx.exceptions import ConfigurationError
from airflow_ltx.hooks.segmind import SegmindHook

MODES = [{"deferrable": True}, {"deferrable": False}]
PREFIX = "/gateway/segmind"


@contextmanager
def behind_a_prefix(base_url: str) -> Iterator[str]:
    """A gateway that serves the emulator below a path, and nothing else; its address."""

    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{PREFIX}/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            behind = http.client.HTTPConnection(urlsplit(base_url).netloc)
            # Not the caller's host: the service names its files by its own.
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            behind.request(self.command, self.path.removeprefix(PREFIX), body, headers)
            answer = behind.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            self.send_header("content-type", answer.headers.get("content-type", ""))
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            behind.close()

        do_POST = do_GET

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ending", ["", "/", "//", "/v1", "/v1/", "/v2", "/v2/", "  "])
def test_a_base_url_with_or_without_slash_and_version_makes_a_video(bench, tmp_path, ending, mode):
    bench.connect(host=f"{bench.segmind.base_url}{ending}")
    result = bench.video(destination=f"file://{tmp_path}/", **mode).try_once()
    assert Path(result["video_uri"].removeprefix("file://")).stat().st_size == result["bytes"]
    assert bench.sensor(result["request_id"], **mode).try_once()["status"] == "COMPLETED"
    assert SegmindHook().wait(result["request_id"], 10).outputs
    assert bench.bought() == [result["request_id"]]


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v2/"])
def test_a_path_before_the_version_is_kept(bench, tmp_path, ending):
    with behind_a_prefix(bench.segmind.base_url) as base_url:
        bench.connect(host=f"{base_url}{ending}")
        result = bench.video(destination=f"file://{tmp_path}/").try_once()
        assert bench.sensor(result["request_id"]).try_once()["status"] == "COMPLETED"
        assert SegmindHook().credits().credits < 100
    assert bench.bought() == [result["request_id"]]


def test_a_wrong_prefix_is_told_as_one(bench):
    with behind_a_prefix(bench.segmind.base_url) as base_url:
        bench.connect(host=base_url.removesuffix("/segmind"))
        said = bench.complaints(bench.video(), final=True)
    assert "the base URL of the connection is not the service's" in said
    assert bench.segmind.ledger.submissions == []


WRONG_HOSTS = {
    "https://{password}@{host}": "holds user information before an '@'",
    "http://someone:{password}@{host}/v1": "holds user information before an '@'",
    "{password}@{host}": "holds user information before an '@'",
    "ftp://{host}": "with http or https and a host",
    "http://": "with http or https and a host",
    "http:///v1": "with http or https and a host",
    "http://{host}?key={password}": "neither a query",
    "http://{host}/#top": "neither a query ('?...') nor a fragment",
    "http://{host} x": "is malformed",
    "http://127.0.0.1/a b": "with http or https and a host",
    "http://127.0.0.1:99999": "is malformed",
    "http://127.0.0.1:{password}": "is malformed",
    "http://[::1": "is malformed",
    "http://api.segmind.com": "would send the API key to Segmind in clear",
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("host", WRONG_HOSTS)
def test_a_base_url_that_cannot_work_is_final_and_not_quoted(bench, host, mode):
    password = "SG_00000000deadbeef"
    address = bench.segmind.base_url.removeprefix("http://")
    bench.connect(password=password, host=host.format(password=password, host=address))
    for run in (bench.video(**mode), bench.model(**mode), bench.sensor("0" * 32, **mode)):
        said = bench.complaints(run, final=True)
        assert "Connection 'segmind_default': " in said
        assert WRONG_HOSTS[host] in said
        assert "Nothing was sent" in said
    with pytest.raises(ConfigurationError, match="segmind_default") as caught:
        SegmindHook().submit("ltx-video", {"prompt": PROMPT})
    assert password not in str(caught.value)
    assert bench.segmind.ledger.submissions == []


@pytest.mark.parametrize("mode", MODES)
def test_without_a_scheme_https_is_assumed_and_a_plain_service_is_told(bench, mode):
    address = bench.segmind.base_url.removeprefix("http://")
    request = SegmindHook().submit("ltx-video", {"prompt": PROMPT})
    bench.connect(host=address)
    told = f"{address} does not speak TLS"
    cure = "write http:// in front of the connection's host"
    said = bench.complaints(bench.video(**mode), final=True)
    assert told in said
    assert cure in said
    assert "Nothing was sent, nothing is billed" in said
    # A request that is paid for may be waited for again, once the connection is corrected.
    said = bench.complaints(bench.sensor(request.request_id, **mode), final=False)
    assert told in said
    assert cure in said
    with pytest.raises(ConfigurationError, match="write http://"):
        SegmindHook().submit("ltx-video", {"prompt": PROMPT})
    bench.connect()
    assert bench.sensor(request.request_id, **mode).try_once()["status"] == "COMPLETED"
    assert bench.bought() == [request.request_id]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("conn_id", ["nowhere", "{{ 'no' ~ 'where' }}"])
def test_a_connection_that_is_missing_is_named(bench, conn_id, mode):
    runs = [
        bench.video(segmind_conn_id=conn_id, **mode),
        bench.model(segmind_conn_id=conn_id, wait_for_completion=False),
        bench.sensor("0" * 32, segmind_conn_id=conn_id, **mode),
    ]
    for run in runs:
        said = bench.complaints(run, final=True)
        assert "Connection 'nowhere' cannot be read" in said
        assert "Nothing was sent. Create a connection of type Segmind with the API key" in said
    with pytest.raises(ConfigurationError, match="'nowhere' cannot be read"):
        SegmindHook("nowhere").submit("ltx-video", {"prompt": PROMPT})
    assert bench.segmind.ledger.submissions == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"timeout": "soon"}, "timeout is some other text"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": "nan"}, "timeout is some other text"),
        ({"requests_per_minute": "many"}, "requests_per_minute is some other text"),
        ({"requests_per_minute": 0}, "requests_per_minute is 0"),
        ({"allow_private_hosts": "perhaps"}, "allow_private_hosts is some other text"),
        ({"history_url": "ftp://x"}, "history_url"),
        ({"upload_url": "https://someone:secret@x"}, "upload_url"),
        (["timeout"], "extra"),
        (5, "extra"),
    ],
)
def test_an_extra_that_cannot_work_is_named(bench, extra, said, mode):
    bench.connect(extra=json.dumps(extra))
    for run in (bench.video(**mode), bench.sensor("0" * 32, **mode)):
        told = bench.complaints(run, final=True)
        assert "Connection 'segmind_default': " in told
        assert said in told
        # A key may have been pasted there: what was written is not repeated.
        assert not any(word in told for word in ("soon", "many", "perhaps", "secret"))
    assert bench.segmind.ledger.submissions == []


HOSTS_WITHOUT_A_NAME = [
    "http://a..b",
    f"http://{'a' * 64}.com",
    "https://xn--zz--.com",
    "http://\U0001f600.test",
]


@pytest.mark.parametrize("host", HOSTS_WITHOUT_A_NAME)
def test_a_host_that_can_have_no_address_was_never_asked(bench, host):
    bench.connect(host=host)
    said = bench.complaints(bench.video(), final=True)
    assert "may exist and be billed" not in said


def test_a_service_that_is_not_there_is_tried_again_by_the_retry(bench):
    bench.connect(host="http://127.0.0.1:9")
    said = bench.complaint(bench.video(), final=False)
    assert "No connection to 127.0.0.1:9" in said
    assert "Nothing was sent, nothing is billed" in said
    assert "A retry begins anew" in said
    assert bench.segmind.ledger.submissions == []


@pytest.mark.parametrize("mode", MODES)
def test_the_secret_of_a_connection_of_another_type_is_not_sent(bench, mode):
    bench.connect("aws_default", conn_type="aws", login="AKIA0123456789", password="wJalrXUtnFEMI/K7MDENG")
    bench.complaint(bench.video(segmind_conn_id="aws_default", **mode), final=True)
    assert bench.segmind.ledger.submissions == []


def test_a_connection_that_is_gone_when_the_wait_is_over_does_not_lose_the_request(bench):
    run = bench.video()
    once = run.try_once

    def answered(deferral):
        event = asyncio.run(run.fire(deferral))
        bench.monkeypatch.delenv("AIRFLOW_CONN_SEGMIND_DEFAULT")
        return {"event": event}

    run.try_once = lambda: run.try_with(answered)  # type: ignore[method-assign]
    said = bench.complaint(run, final=False)
    (bought,) = bench.bought()
    assert "Connection 'segmind_default' cannot be read" in said
    assert "A retry takes up this request and buys nothing" in said
    assert bought in said
    bench.connect()
    assert once()["request_id"] == bought
    assert bench.bought() == [bought]
