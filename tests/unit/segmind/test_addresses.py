"""Where files may be fetched from."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.exceptions import DownloadFailed
from airflow_ltx.segmind.addresses import Range, range_of
from airflow_ltx.segmind.reach import Reach


def allowed(address: str, *, private: bool) -> bool:
    return Reach(private=private).allows(address)


TABLE = {
    Range.PUBLIC: [
        "1.1.1.1",
        "93.184.215.14",
        "172.15.0.1",
        "172.32.0.1",
        "192.167.1.1",
        "100.63.255.255",
        "100.128.0.1",
        "2606:4700::1111",
        "::ffff:1.1.1.1",
        "64:ff9b::101:101",
        "2002:101:101::1",
        "2606:4700::5efe:1.1.1.1",
        "2606:4700::5eff:169.254.169.254",
    ],
    Range.PRIVATE: [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "[::1]",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "100.127.255.255",
        "198.18.0.1",
        "fc00::1",
        "fdff::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::1",
        "2606:4700::5efe:10.0.0.1",
        "2606:4700::200:5efe:127.0.0.1",
        "fd00::5efe:1.1.1.1",
    ],
    Range.NEVER: [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd00:ec2:1::253",
        "fd00:42::42",
        "fd00:a9fe:a9fe::1",
        "fd00:c1::a9fe:a9fe",
        "2606:4700::5efe:169.254.169.254",
        "2606:4700::200:5efe:169.254.169.254",
        "fd00::5efe:100.100.100.200",
        "64:ff9b:1::1.1.1.1",
        "64:ff9b:1::10.1.2.3",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9fe:a9:fe00:808:808",
        "64:ff9b:1:fffe:a9fe:a9fe::",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",  # noqa: S104
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "239.255.255.255",
        "ff02::1",
        "240.0.0.1",
        "255.255.255.255",
        "fec0::1",
        "::ffff:169.254.169.254",
        "::ffff:100.100.100.200",
        "::ffff:0.0.0.0",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "",
        "files.test",
        "127.1",
        "2130706433",
        "0x7f000001",
    ],
}


@pytest.mark.parametrize(("kind", "address"), [(kind, text) for kind in Range for text in TABLE[kind]])
def test_every_address_is_in_its_range(kind: Range, address: str) -> None:
    assert range_of(address) is kind
    assert allowed(address, private=False) is (kind is Range.PUBLIC)
    assert allowed(address, private=True) is (kind is not Range.NEVER)


@pytest.mark.parametrize(
    "host",
    ["ltx-emulator", "minio1", "files.xn--p1ai", "a.b2", "storage-1.internal", "0xfiles", "files.0xyz", "h."],
)
def test_a_name_is_asked_for_whatever_its_last_part_looks_like(host: str) -> None:
    Reach(plain=True).check_url(f"http://{host}:8000/v.mp4")


@pytest.mark.parametrize(
    "host",
    [
        "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "10.0.0.1", "[::1]", "127.0.0.1.",
        "a.1", "a.0x1", "1.2.3.4.5", "0x", "169.254.169.254", "[fd00:ec2::254]", "\uff11\uff12\uff17.1",
        "127\u30020\u30020\u30021", "",
    ],
)  # fmt: skip
def test_a_notation_of_an_address_is_read_as_one_or_refused(host: str) -> None:
    with pytest.raises(DownloadFailed, match="is not fetched"):
        Reach(plain=True).check_url(f"http://{host}/v.mp4")


def test_a_service_is_an_address_or_a_name() -> None:
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        return ["10.0.0.1"]

    assert Reach(service="minio1", resolve=resolve).allows("10.9.9.9")
    assert Reach(service="10.0.0.1", resolve=resolve).allows("10.9.9.9")
    assert asked == ["minio1"]


@given(st.ip_addresses(v=4), st.booleans())
def test_an_address_is_no_better_inside_another_one(address: ipaddress.IPv4Address, private: bool) -> None:
    mapped = f"::ffff:{address}"
    translated = str(ipaddress.IPv6Address((0x64FF9B << 96) | int(address)))
    wrapped = str(ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80) | 1))
    for text in (mapped, translated):
        assert allowed(text, private=private) is allowed(str(address), private=private)
    assert not allowed(wrapped, private=private) or allowed(str(address), private=private)


@given(st.ip_addresses(), st.booleans())
def test_nothing_private_is_allowed_unasked(address: ipaddress.IPv4Address, private: bool) -> None:
    if allowed(str(address), private=False):
        assert allowed(str(address), private=True)
        assert not address.is_loopback
        assert not address.is_link_local
