"""Where a download may go: schemes, addresses, redirects, proxies."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from airflow_ltx.exceptions import DownloadFailed
from airflow_ltx.segmind.download import open_download
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.reach import Reach
from tests.protocol.file_host import FileHost, answer, running_file_host

FAR = Reach(plain=True, private=False)
NEAR = Reach(plain=True, private=True)
VIDEO = answer(200, b"video", content_type="video/mp4")


@pytest.fixture
def host() -> Iterator[FileHost]:
    with running_file_host() as running:
        yield running


def fetch(url: str, reach: Reach) -> bytes:
    with open_download(url, reach=reach, timeout=2.0) as (_, chunks):
        return b"".join(chunks)


def refusal(url: str, reach: Reach) -> str:
    with pytest.raises(DownloadFailed) as caught:
        fetch(url, reach)
    assert caught.value.transient is False
    return caught.value.message


def config(base: str, **options: bool) -> ClientConfig:
    return ClientConfig("key", base_url=base, **options)


@pytest.mark.parametrize(
    ("base", "addresses", "options", "private"),
    [
        ("https://api.segmind.com", ["93.184.215.14"], {}, False),
        ("https://api.segmind.com", [], {}, False),
        ("https://api.segmind.com", ["93.184.215.14"], {"allow_private_hosts": True}, True),
        ("http://127.0.0.1:8000", [], {}, True),
        ("https://10.0.0.7", [], {}, True),
        ("http://[::1]:8000", [], {}, True),
        ("https://segmind.internal", ["10.1.2.3"], {}, True),
        ("https://segmind.internal", ["93.184.215.14", "fd00::1"], {}, True),
        ("https://segmind.internal", ["169.254.169.254"], {}, False),
    ],
)
def test_a_connection_reaches_private_hosts_only_if_it_is_at_one_or_says_so(
    base, addresses, options, private
):
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        return addresses

    reach = Reach.of(config(base, **options), resolve)
    assert reach.allows("93.184.215.14")
    assert not reach.allows("169.254.169.254")
    assert asked == []
    assert reach.allows("10.9.9.9") is private
    assert reach.plain is base.startswith("http:")


def test_a_service_with_a_name_is_looked_up_by_this_machine() -> None:
    assert Reach.of(config("https://localhost:8000")).allows("10.9.9.9")


def test_a_private_file_host_is_asked_only_if_that_is_allowed(host: FileHost) -> None:
    url = host.serve(VIDEO)
    assert fetch(url, NEAR) == b"video"
    asked = len(host.requests)
    said = refusal(url + "?sig=SIGNED", FAR)
    assert "127.0.0.1 is a private address" in said
    assert "allow_private_hosts" in said
    assert "SIGNED" not in said
    assert len(host.requests) == asked


def test_the_address_that_is_connected_to_decides_and_not_its_name(
    host: FileHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a name does that is resolved to a public address first, and to a private one for the connection."""
    lookup = socket.getaddrinfo

    def rebound(name: str | bytes | None, *args: object, **options: object) -> object:
        wanted = name.decode() if isinstance(name, bytes) else name
        return lookup("127.0.0.1" if wanted == "files.test" else name, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    url = host.serve(VIDEO).replace("127.0.0.1", "files.test")
    assert fetch(url, NEAR) == b"video"
    asked = len(host.requests)
    assert "127.0.0.1 is a private address" in refusal(url, FAR)
    assert len(host.requests) == asked


@pytest.mark.parametrize("address", ["169.254.169.254", "0.0.0.0", "[::]", "2130706433", "127.1"])  # noqa: S104
def test_a_redirect_to_where_no_file_host_is_is_not_followed(host: FileHost, address: str) -> None:
    target = f"http://{address}:{host.port}/latest/meta-data"
    assert "is no address of a file host" in refusal(host.serve(answer(302, location=target)), NEAR)
    assert len(host.requests) == 1


def test_plain_http_is_used_only_where_the_service_is_plain(host: FileHost) -> None:
    assert "it is plain http" in refusal(host.serve(VIDEO), Reach(private=True))
    assert host.requests == []


@pytest.mark.parametrize("url", ["ftp://files.test/v.mp4", "file:///etc/passwd", "data:,x", "//files.test/v"])
def test_nothing_else_is_fetched(url: str) -> None:
    assert "no http or https URL" in refusal(url, NEAR)


def test_a_proxy_may_be_private_and_an_address_behind_it_may_not(
    host: FileHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{host.port}")
    monkeypatch.setenv("NO_PROXY", "elsewhere.test")
    host.answers["http://files.test/v.mp4"] = [VIDEO]
    assert fetch("http://files.test/v.mp4", FAR) == b"video"
    asked = len(host.requests)
    assert "10.0.0.1 is a private address" in refusal("http://10.0.0.1/v.mp4", FAR)
    assert "no address of a file host" in refusal("http://2130706433/v.mp4", NEAR)
    assert len(host.requests) == asked


def test_credentials_of_the_machine_are_not_sent(host: FileHost, monkeypatch, tmp_path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    fetch(host.serve(VIDEO), NEAR)
    assert "authorization" not in host.requests[0].headers
