"""A name of many addresses, most of which do not answer: nobody waits for all of them in vain."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from airflow_ltx.exceptions import DownloadFailed, NotSent
from airflow_ltx.segmind import client
from airflow_ltx.segmind.client import SegmindClient
from airflow_ltx.segmind.connecting import MOST_ADDRESSES
from airflow_ltx.segmind.download import open_download
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.reach import Reach
from airflow_ltx.segmind.retry import ONCE
from airflow_ltx.segmind.stopping import Stopped
from tests.protocol.file_host import answer, running_file_host

NEAR = Reach(plain=True, private=True)
BODY = b"\0\0\0\x18ftypisom" + bytes(5000)
Name = Callable[[list[str]], str]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Name:
    """Gives a name its addresses."""
    real = socket.getaddrinfo

    def name(addresses: list[str]) -> str:
        def resolve(host: str, port: int, *args: int, **options: int) -> object:
            if host != "many.example":
                return real(host, port, *args, **options)
            if not addresses:
                raise socket.gaierror(socket.EAI_NONAME, "no such name")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        return "many.example"

    return name


def many(count: int) -> list[str]:
    return [f"127.0.1.{number}" for number in range(1, count + 1)]


@contextmanager
def black_hole() -> Iterator[int]:
    """A port at which no connection comes about, of as many addresses as are tried: their queues are full."""
    with ExitStack() as stack:
        port = 0
        for address in many(MOST_ADDRESSES):
            full = stack.enter_context(socket.socket())
            full.bind((address, port))
            full.listen(0)
            port = full.getsockname()[1]
            for _ in range(4):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex((address, port))
        time.sleep(0.1)
        yield port


@pytest.mark.parametrize(("stop_after", "seconds"), [(0.3, 60.0), (60.0, 0.5)], ids=["stopped", "too late"])
def test_a_download_does_not_try_one_address_after_another_past_its_end(
    named: Name, stop_after: float, seconds: float
) -> None:
    stop = threading.Event()
    timer = threading.Timer(stop_after, stop.set)
    timer.start()
    begun = time.monotonic()
    with (
        black_hole() as port,
        pytest.raises(Stopped if stop_after < seconds else DownloadFailed),
        open_download(
            f"http://{named(many(60))}:{port}/v.mp4",
            reach=NEAR,
            timeout=0.4,
            deadline=time.time() + seconds,
            stop=stop,
        ),
    ):
        pass
    timer.cancel()
    assert time.monotonic() - begun < 1.5


def test_a_paid_call_that_finds_no_address_in_time_was_never_sent(
    named: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "exchange_limit", lambda seconds: 0.5)
    begun = time.monotonic()
    with black_hole() as port:
        config = ClientConfig("SG_0123456789abcdef", f"http://{named(many(60))}:{port}", timeout=0.3)
        with SegmindClient(config) as service, pytest.raises(NotSent, match="nothing is billed"):
            service.submit("ltx-video", {"prompt": "a lighthouse"}, retry=ONCE)
    assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize("before", [0, 1, MOST_ADDRESSES - 1, MOST_ADDRESSES])
def test_an_address_that_answers_is_found_among_the_first(named: Name, before: int) -> None:
    with running_file_host() as host:
        host.serve(answer(200, BODY, content_type="video/mp4"))
        # Nothing listens there but at 127.0.0.1.
        url = f"http://{named([*many(before), *many(before), '127.0.0.1'])}:{host.port}/v.mp4"
        if before < MOST_ADDRESSES:
            with open_download(url, reach=NEAR) as (_, chunks):
                assert b"".join(chunks) == BODY
        else:
            with pytest.raises(DownloadFailed, match="broke off"), open_download(url, reach=NEAR):
                pass


def test_whichever_address_answers_is_looked_at_before_a_byte_is_sent(named: Name) -> None:
    with running_file_host() as host:
        url = f"http://{named([*many(2), '127.0.0.1'])}:{host.port}/v.mp4"
        with (
            pytest.raises(DownloadFailed, match="private address") as caught,
            open_download(url, reach=Reach(plain=True)),
        ):
            pass
        assert caught.value.transient is False
        assert host.requests == []


def test_a_name_without_an_address_is_a_passing_failure(named: Name) -> None:
    with pytest.raises(DownloadFailed) as caught, open_download(f"http://{named([])}/v", reach=NEAR):
        pass
    assert caught.value.transient is True
