"""Testing a connection, against services that are there, that are not, and that are something else."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import self_signed

from airflow_ltx.exceptions import SubmitOutcomeUnknown
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.segmind import transport
from airflow_ltx.segmind.client import SegmindClient
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.transport import shared_ssl_context
from segmind_service import KEY, connection


@pytest.fixture
def tell(monkeypatch):
    """What the form says of a connection to ``base_url``."""

    def go(base_url: str, key: str = KEY, **extra) -> tuple[bool, str]:
        fields = json.loads(connection(base_url, key))
        fields["extra"] = json.dumps(extra)
        monkeypatch.setenv("AIRFLOW_CONN_TESTED", json.dumps(fields))
        begun = time.monotonic()
        ok, said = SegmindHook("tested").test_connection()
        assert time.monotonic() - begun < 11.5
        assert key not in said
        assert "bought" not in said
        assert "billed" not in said
        return ok, said

    return go


@contextlib.contextmanager
def listening() -> Iterator[tuple[socket.socket, int]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server, server.getsockname()[1]


def test_a_key_that_works(segmind, tell):
    assert tell(segmind.base_url) == (True, "The key works. The workspace has $100.00.")
    assert segmind.ledger.submissions == []


@pytest.mark.parametrize("how", ["a balance of nothing", "no balance at all"])
def test_a_key_that_works_for_an_account_without_money(segmind, tell, how):
    if how == "no balance at all":
        segmind.set_faults("credits:before:404:No credits found for the user*inf")
    else:
        segmind.configure(credits=0.0)
    ok, said = tell(segmind.base_url)
    assert ok
    assert "has no credits" in said


def test_a_key_that_is_missing(segmind, tell, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_KEYLESS", json.dumps({"conn_type": "segmind", "host": segmind.base_url}))
    ok, said = SegmindHook("keyless").test_connection()
    assert (ok, said) == (
        False, "No API key: put the Segmind API key into the password of the connection.",
    )  # fmt: skip


def test_a_key_that_is_wrong(segmind, tell):
    ok, said = tell(segmind.base_url, "SG_no_such_key")
    assert not ok
    assert "refused the API key (HTTP 401: Unauthorized." in said


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("403:Not for this team", "does not let this key read the balance (HTTP 403: Not for this team)"),
        ("html:403", "as a proxy or a firewall does"),
        ("429:17", "Test again in 1"),
        ("500", "trouble of its own (HTTP 500"),
        ("502", "trouble of its own (HTTP 502"),
        ("html:503", "trouble of its own (HTTP 503: an HTML page)"),
        ("html", "not as Segmind does (HTTP 200: an HTML page)"),
        ("html:404", "not as Segmind does (HTTP 404: an HTML page)"),
        ("404:Not found", "not as Segmind does (HTTP 404: Not found)"),
        ("garbage", "not as Segmind does (HTTP 200: "),
        ("empty", "not as Segmind does (HTTP 200)"),
        ("redirect:https://login.example/?next=SECRET", "elsewhere (HTTP 302 to https://login.example/)"),
        ("reset", "broke the connection off"),
        ("truncate:5", "broke the connection off before its answer was whole"),
    ],
)
def test_each_way_in_which_a_service_can_answer_is_told_at_once(segmind, tell, fault, says):
    segmind.set_faults(f"credits:before:{fault}*inf")
    begun = time.monotonic()
    ok, said = tell(segmind.base_url)
    assert not ok
    assert says in said
    assert "SECRET" not in said
    assert time.monotonic() - begun < 3


def test_a_name_that_nobody_has(tell):
    ok, said = tell("https://no-such-host.invalid")
    assert not ok
    assert "No machine is known by the name no-such-host.invalid" in said


def test_a_port_where_nobody_listens_is_told_at_once(tell):
    begun = time.monotonic()
    ok, said = tell("http://127.0.0.1:9")
    assert (ok, "Nothing listens at 127.0.0.1:9" in said) == (False, True)
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("extra", [{}, {"timeout": 300}])
def test_a_black_hole_is_told_within_ten_seconds(tell, scheme, extra):
    with listening() as (_, port):
        ok, said = tell(f"{scheme}://127.0.0.1:{port}", **extra)
        # A connection's own timeout, made for tasks, would leave a thread behind for minutes.
        assert "segmind-connection-test" not in {thread.name for thread in threading.enumerate()}
    assert (ok, "did not answer in time" in said) == (False, True)


def test_an_answer_that_drips_is_told_within_ten_seconds(tell):
    stop = threading.Event()

    def drip(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            peer, _ = server.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
                while not stop.wait(0.5):
                    peer.sendall(b" ")

    with listening() as (server, port):
        dripping = threading.Thread(target=drip, args=(server,))
        dripping.start()
        try:
            ok, said = tell(f"http://127.0.0.1:{port}")
        finally:
            stop.set()
        dripping.join()
    assert (ok, "did not answer in time" in said) == (False, True)


def test_a_full_queue_of_callers_is_told_within_ten_seconds(tell):
    """Nobody accepts, and the system answers no further caller: as a firewall that drops."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as waiting:
        address = server.getsockname()
        for _ in range(8):
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                caller.connect(address)
        ok, said = tell(f"http://127.0.0.1:{address[1]}")
    assert (ok, "did not answer in time" in said) == (False, True)


def test_https_to_a_service_that_speaks_plain_http(segmind, tell):
    ok, said = tell(segmind.base_url.replace("http://", "https://"))
    assert not ok
    assert "does not speak TLS" in said
    assert "write http:// in front" in said


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Iterator[tuple[int, Path]]:
    """A port that speaks TLS under a certificate that nobody trusts, and that certificate."""
    context, certificate = self_signed(tmp_path_factory.mktemp("tls"))
    with listening() as (server, port):

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), context.wrap_socket(peer, server_side=True) as wrapped:
                    wrapped.recv(65536)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield port, certificate
        server.shutdown(socket.SHUT_RDWR)
    serving.join(5)


def test_a_certificate_that_is_not_trusted(tell, tls):
    ok, said = tell(f"https://127.0.0.1:{tls[0]}")
    assert not ok
    assert "certificate" in said
    assert "SSL_CERT_FILE" in said


def test_the_way_out_that_is_named_for_a_certificate_is_one(tell, tls, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[1]))
    shared_ssl_context.cache_clear()
    try:
        _, said = tell(f"https://127.0.0.1:{tls[0]}")
    finally:
        shared_ssl_context.cache_clear()
    assert "certificate" not in said
    assert "broke the connection off" in said


def test_plain_http_to_a_service_that_speaks_tls(tell, tls):
    ok, said = tell(f"http://127.0.0.1:{tls[0]}")
    assert not ok
    assert "write https:// in front" in said


@pytest.mark.parametrize(
    ("base_url", "says"),
    [
        ("ftp://api.segmind.com", "must look like https://api.segmind.com"),
        ("https://api.segmind.com?key=1", "neither a query"),
        ("https://[::1", "malformed"),
        ("http://api.segmind.com", "write https instead of http"),
        (f"https://{KEY}@api.segmind.com", "user information"),
    ],
)
def test_a_base_url_that_is_none(tell, base_url, says):
    ok, said = tell(base_url)
    assert not ok
    assert says in said


def test_a_proxy_that_lets_nothing_through(tell, monkeypatch):
    with listening() as (server, port):

        def refuse() -> None:
            with contextlib.suppress(OSError):
                peer, _ = server.accept()
                with peer:
                    peer.recv(65536)
                    peer.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")

        refusing = threading.Thread(target=refuse)
        refusing.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        ok, said = tell("https://no-such-host.invalid")
        refusing.join(10)
    assert not ok
    assert "The proxy of this machine did not let the call" in said
    assert "407" in said


def test_a_drip_behind_a_connect_proxy_ends_at_the_limit_too(tls_drip, monkeypatch):
    """The proxy's TLS takes the socket over that was seen first."""
    port, certificate, proxy = tls_drip
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy}")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 1.0)
    shared_ssl_context.cache_clear()
    try:
        config = ClientConfig(api_key=KEY, base_url=f"https://127.0.0.1:{port}", timeout=0.5)
        begun = time.monotonic()
        with SegmindClient(config) as client, pytest.raises(SubmitOutcomeUnknown, match="lost"):
            client.submit("ltx-video", {"prompt": "p"})
        assert time.monotonic() - begun < 6
    finally:
        shared_ssl_context.cache_clear()


@pytest.fixture
def tls_drip(tls):
    """A TLS server that answers a byte at a time for ten seconds, its certificate, a proxy before it."""
    _, certificate = tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))

    def drip(peer):
        with contextlib.suppress(OSError), context.wrap_socket(peer, server_side=True) as wrapped:
            wrapped.recv(65536)
            wrapped.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            for _ in range(50):
                wrapped.sendall(b" ")
                time.sleep(0.2)

    def pump(source, sink):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def tunnel(peer):
        host, _, number = peer.recv(65536).split()[1].decode().partition(":")
        with peer, socket.create_connection((host, int(number))) as beyond:
            peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=pump, args=(beyond, peer), daemon=True)
            back.start()
            pump(peer, beyond)
            back.join(5)

    def serve(server, handle):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=handle, args=(server.accept()[0],), daemon=True).start()

    with listening() as (server, port), listening() as (gate, proxy):
        threading.Thread(target=serve, args=(server, drip), daemon=True).start()
        threading.Thread(target=serve, args=(gate, tunnel), daemon=True).start()
        yield port, certificate, proxy
        server.shutdown(socket.SHUT_RDWR)
        gate.shutdown(socket.SHUT_RDWR)
