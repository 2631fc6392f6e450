"""How far a download may go: schemes and addresses, for the first URL and for each redirect."""

from __future__ import annotations

import re
import socket
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from airflow_ltx.exceptions import DownloadFailed
from airflow_ltx.segmind.addresses import Range, range_of
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.redact import without_query

Resolve = Callable[[str], Iterable[str]]

# httpcore names its events after who connects.
_CONNECTED = ".connect_tcp.complete"
_NUMBER = re.compile(r"\d+|0[xX][0-9a-fA-F]*")


def addresses_of(host: str) -> list[str]:
    """The addresses of a host, as this machine knows them; none if it knows none."""
    try:
        return [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


@dataclass(frozen=True, slots=True)
class Reach:
    """What a connection allows its downloads. Link-local and metadata addresses are never allowed.

    :param plain: ``http`` URLs, too: the service itself is reached by it.
    :param private: Loopback and private addresses, too.
    :param service: Host of the service. If it is at a private address, so may its files be.
    :param resolve: Asked for the service's addresses, once a private one is met.
    """

    plain: bool = False
    private: bool = False
    service: str = ""
    resolve: Resolve = field(default=addresses_of, compare=False, repr=False)

    @classmethod
    def of(cls, config: ClientConfig, resolve: Resolve = addresses_of) -> Self:
        """That of a connection."""
        base = urlsplit(config.base_url)
        return cls(base.scheme == "http", config.allow_private_hosts, base.hostname or "", resolve)

    def allows(self, address: str) -> bool:
        """Whether a file may be fetched from an address."""
        kind = range_of(address)
        return kind is Range.PUBLIC or (kind is Range.PRIVATE and self._private())

    def _private(self) -> bool:
        if self.private or not self.service:
            return self.private
        addresses = [self.service] if _is_address(self.service) else self.resolve(self.service)
        return any(range_of(address) is Range.PRIVATE for address in addresses)

    def check_url(self, url: str) -> None:
        """Look at a URL before anything is sent to it. Behind a proxy this is all that can be looked at.

        :raises DownloadFailed: Not transient.
        """
        parts = _split(url)
        if parts is None or parts[0] not in ("http", "https"):
            raise _refused(url, "it is no http or https URL")
        scheme, host = parts
        if scheme == "http" and not self.plain:
            raise _refused(url, "it is plain http, and the service is not")
        if _is_address(host) and not self.allows(host):
            raise _refused(url, self._why(host))

    def guard(self, url: str) -> Callable[[str, Mapping[str, Any]], None]:
        """For httpcore's ``trace`` extension: looks at the address that was connected to, before a byte is
        sent to it. The name may have been resolved to another one a moment before."""

        def trace(event: str, info: Mapping[str, Any]) -> None:
            if not event.endswith(_CONNECTED):
                return
            stream = info["return_value"]
            peer = stream.get_extra_info("server_addr")
            address = str(peer[0]) if peer else ""
            if not self.allows(address):
                stream.close()
                raise _refused(url, self._why(address))

        return trace

    def _why(self, address: str) -> str:
        if range_of(address) is Range.PRIVATE:
            return (
                f"{address} is a private address; if your file host is there, set allow_private_hosts in the "
                "extra of the Segmind connection"
            )
        return f"{address} is no address of a file host"


def proxy_for(url: str) -> str | None:
    """The proxy that the environment of this process names for a URL, or None."""
    parts = _split(url)
    if parts is None:
        return None
    proxies = getproxies()
    proxy = proxies.get(parts[0]) or proxies.get("all")
    if not proxy or proxy_bypass(parts[1]):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _split(url: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(url)
        return parts.scheme.lower(), parts.hostname or ""
    except ValueError:
        return None


def _is_address(host: str) -> bool:
    """Whether a host is no name but an address, in whatever notation: what ends in a number is taken for one,
    as browsers do, since resolvers read more notations than the usual one. What no check can read is refused.

    What a name leads to is looked at once it is connected to.
    """
    # As it is looked up: letters and dots of other alphabets stand for the usual ones.
    plain = unicodedata.normalize("NFKC", host).replace("\u3002", ".")
    if not plain or ":" in plain:
        return True
    return _NUMBER.fullmatch(plain.removesuffix(".").rpartition(".")[2]) is not None


def _refused(url: str, why: str) -> DownloadFailed:
    return DownloadFailed(
        f"{without_query(url)} is not fetched: {why}. Nothing was asked of it.", transient=False
    )
