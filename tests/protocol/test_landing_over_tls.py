"""A landing by https, where bytes come in records of 16 KB at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import self_signed

from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.land import Landed, land
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind.models import Output
from airflow_ltx.segmind.reach import Reach
from airflow_ltx.segmind.stopping import Stopped
from airflow_ltx.segmind.transport import shared_ssl_context
from tests.protocol.file_host import FileHost, Peer, answer, running_file_host

MIB = 2**20
BODY = b"\0\0\0\x18ftypisom" + bytes(MIB)
MP4 = {"content_type": "video/mp4"}
REST = 0.000123


class Counting(threading.Event):
    """Counts the rests of whoever asks it whether to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.rested = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        # Others wait for it too: for longer.
        if timeout is not None and timeout < 100 * REST:
            self.rested += timeout
        return super().wait(timeout)


@pytest.fixture(params=["http", "https"])
def host(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FileHost]:
    if request.param == "http":
        with running_file_host() as plain:
            yield plain
        return
    tls, certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    shared_ssl_context.cache_clear()
    try:
        with running_file_host(tls) as secret:
            yield secret
    finally:
        shared_ssl_context.cache_clear()


def landing(url: str, folder: Path, stop: threading.Event) -> Landed:
    wish = Wish(parse_destination(f"file://{folder}/"), media="video")
    return land(Output(url), wish, "the-id", reach=Reach(plain=True, private=True), stop=stop, rest=REST)


@pytest.mark.parametrize("piece", [1000, 16 * 1024, MIB])
def test_a_landing_rests_after_each_64_kb_however_small_the_pieces_are(
    host: FileHost, tmp_path: Path, piece: int
) -> None:
    def send(peer: Peer) -> None:
        peer.send(answer(200, length=len(BODY), **MP4))
        for start in range(0, len(BODY), piece):
            peer.send(BODY[start : start + piece])

    stop = Counting()
    landed = landing(host.serve(send), tmp_path / "v", stop)
    assert (tmp_path / "v" / "the-id.mp4").read_bytes() == BODY
    assert landed.size == len(BODY)
    assert round(stop.rested / REST) == MIB // 65536


def test_a_stop_ends_a_read_that_waits_and_leaves_nothing(host: FileHost, tmp_path: Path) -> None:
    def falls_silent(peer: Peer) -> None:
        peer.send(answer(200, BODY[: MIB // 2], length=len(BODY), **MP4))
        peer.stall(60)

    stop = threading.Event()
    url = host.serve(falls_silent)
    threading.Timer(0.5, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(Stopped):
        landing(url, tmp_path / "v", stop)
    assert time.monotonic() - begun < 5
    assert list((tmp_path / "v").iterdir()) == []
    assert len(host.requests) == 1
