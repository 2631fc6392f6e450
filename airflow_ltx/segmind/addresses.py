"""Which network addresses a file may be fetched from: pure, decided on the address and not on its name."""

from __future__ import annotations

import ipaddress
from enum import StrEnum

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Range(StrEnum):
    """What an address is good for."""

    PUBLIC = "public"
    PRIVATE = "private"
    """Of this machine, or of a network of one's own: a file host only where the service is, too."""
    NEVER = "never"
    """Where no file host is, and where clouds answer whoever asks with credentials."""


_METADATA = tuple(
    ipaddress.ip_address(text)
    for text in (
        # AWS, GCP and Azure answer at 169.254.169.254, which is link-local. These are not.
        "fd20:ce::254",
        # Scaleway, Akamai, Oracle.
        "fd00:42::42",
        "fd00:a9fe:a9fe::1",
        "fd00:c1::a9fe:a9fe",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
    )
)
_CARRIER = ipaddress.ip_network("100.64.0.0/10")
_REFUSED = (
    # Everything that AWS has at an address of its own for machines that look for it.
    ipaddress.ip_network("fd00:ec2::/32"),
    # Translation within a network: where in the address the other one is depends on a length that only that
    # network knows, so nobody can tell where it leads.
    ipaddress.ip_network("64:ff9b:1::/48"),
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_ISATAP = (bytes.fromhex("00005efe"), bytes.fromhex("02005efe"))
"""What stands before the other address in the second half of such a one, whatever its network."""


def range_of(text: str) -> Range:
    """The range of an address in its usual notation, with or without a zone.

    An address that carries another one, as IPv6 does in several ways, is in the worse range of the two. What
    is no address is in none that is allowed.
    """
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return Range.NEVER
    ranges = {_plain_range(part) for part in (address, *_carried(address))}
    return next(kind for kind in (Range.NEVER, Range.PRIVATE, Range.PUBLIC) if kind in ranges)


def _plain_range(address: Address) -> Range:
    if any(address in network for network in _REFUSED):
        return Range.NEVER
    if address in _METADATA or address.is_multicast or address.is_unspecified:
        return Range.NEVER
    if isinstance(address, ipaddress.IPv6Address):
        if address.is_site_local:
            return Range.NEVER
        if address.ipv4_mapped or address in _NAT64:
            # Only the address that it carries is connected to.
            return Range.PUBLIC
    elif address in _CARRIER:
        return Range.PRIVATE
    if address.is_loopback:
        return Range.PRIVATE
    # 0.0.0.0/8 reaches this machine; ipaddress calls it private.
    if address.is_link_local or address.is_reserved or (address.version == 4 and address.packed[0] == 0):
        return Range.NEVER
    return Range.PUBLIC if address.is_global else Range.PRIVATE


def _carried(address: Address) -> tuple[Address, ...]:
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    if address.sixtofour:
        return (address.sixtofour,)
    if address.teredo:
        return address.teredo
    if address in _NAT64 or address.packed[8:12] in _ISATAP:
        return (ipaddress.IPv4Address(address.packed[-4:]),)
    return ()
