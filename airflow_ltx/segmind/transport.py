"""What both clients and the download share of httpx: TLS, timeouts, quiet logs, the kinds of its errors."""

from __future__ import annotations

import errno
import logging
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import httpx

from airflow_ltx import __version__
from airflow_ltx.exceptions import ConfigurationError, Trouble
from airflow_ltx.segmind.endpoints import ClientConfig

if TYPE_CHECKING:
    from airflow_ltx.segmind.calls import Call

CONNECT_TIMEOUT = 5.0
POOL_TIMEOUT = 15.0
CONNECTIONS = 32
"""Calls of one event loop that are under way at a time; further ones wait for their turn."""

_IDLE = 30.0
# Few of them idle: the pool asks the system about each idle one, twice for each call.
_POOL = httpx.Limits(max_connections=50, max_keepalive_connections=5, keepalive_expiry=_IDLE)
_FRESH = httpx.Limits(max_connections=50, max_keepalive_connections=0)
# Not LocalProtocolError: it can also come of a body that was half sent.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
_TROUBLES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Trouble], ...] = (
    (socket.gaierror, Trouble.NAME),
    (ConnectionRefusedError, Trouble.REFUSED),
    (ssl.SSLCertVerificationError, Trouble.CERTIFICATE),
    (ssl.SSLError, Trouble.TLS),
    ((TimeoutError, httpx.TimeoutException), Trouble.TIMEOUT),
)
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
_DEEPEST_CAUSE = 10
_CA_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@lru_cache(maxsize=1)
def shared_ssl_context() -> ssl.SSLContext:
    """One TLS context a process: reading the CA bundle costs some 20 ms of CPU. Call it off event loops."""
    return httpx.create_ssl_context()


def timeouts(seconds: float) -> httpx.Timeout:
    """Connect, read, write and pool, all bounded: no black hole may hold a task."""
    return httpx.Timeout(seconds, connect=min(CONNECT_TIMEOUT, seconds), pool=max(POOL_TIMEOUT, seconds))


def exchange_limit(seconds: float) -> float:
    """Seconds after which a whole exchange is given up, however steadily its bytes drip."""
    return CONNECT_TIMEOUT + 2 * seconds


def check_hosts(config: ClientConfig) -> None:
    """Look at the hosts as httpx will. It finds some wanting only while a call is under way, with errors
    that do not tell whether a paid one had left.

    :raises ConfigurationError: A host's name can have no address.
    """
    for name, base in (
        ("base URL", config.base_url),
        ("history_url", config.history_url),
        ("upload_url", config.upload_url),
    ):
        try:
            url = httpx.URL(base or "")
            if ":" not in url.host:
                url.raw_host.decode("ascii").encode("idna")
        except (httpx.InvalidURL, ValueError):
            raise ConfigurationError(
                f"The {name} has a host that can be no name of a machine. Nothing was sent."
            ) from None


def client_options(config: ClientConfig, *, reuse: bool) -> dict[str, Any]:
    """What both clients are built with. The key goes along with every call.

    :param reuse: Keep connections for later calls. Otherwise each says that it is for one call: to forbid the
        pool to keep any is not enough, since between threads it may give one away before it closes it.
    """
    check_hosts(config)
    headers = {
        "x-api-key": config.api_key,
        "user-agent": f"airflow-provider-ltx/{__version__}",
        "accept": "application/json",
    }
    return {
        "headers": headers if reuse else {**headers, "connection": "close"},
        "limits": _POOL if reuse else _FRESH,
        "verify": shared_ssl_context(),
        "follow_redirects": False,
    }


def headers_of_reads(config: ClientConfig) -> httpx.Headers:
    """For calls that pass no client."""
    return httpx.Headers(
        {**client_options(config, reuse=True)["headers"], "accept-encoding": "gzip, deflate"}
    )


def lean_transport() -> httpx.AsyncBaseTransport | None:
    """A transport for small reads that costs less than httpx's own; None where there is no way to one.

    aiohttp is no dependency of this package, but hardly an Airflow is without it. Proxies are left to httpx.
    """
    proxies = getproxies()
    if find_spec("aiohttp") is None or any(proxies.get(scheme) for scheme in ("http", "https", "all")):
        return None
    from airflow_ltx.segmind.aiohttp_transport import AiohttpTransport

    return AiohttpTransport(shared_ssl_context(), connections=CONNECTIONS, idle=_IDLE)


def request_arguments(call: Call[Any], timeout: float) -> dict[str, Any]:
    """What httpx is told of a call. ``timeout``: seconds for each silence."""
    headers = {} if call.request.content is None else {"content-type": "application/json"}
    if call.target is not None:
        # The length of a file that is packed on the way says nothing about the file's.
        headers |= {"accept": "*/*", "accept-encoding": "identity"}
    return {
        "method": call.request.method,
        "url": call.request.url,
        "content": call.request.content,
        "headers": headers,
        "timeout": timeouts(timeout),
    }


@contextmanager
def buildable() -> Iterator[None]:
    """Around the building of clients: what the environment breaks there, as an error that names its variable.

    :raises ConfigurationError: Nothing was sent. Not chained: the reason may quote the password of a proxy.
    """
    try:
        yield
    except ConfigurationError:
        raise
    except Exception as error:
        # TLS is an OSError too, so that what remains is what httpx makes of proxies.
        of_tls = isinstance(error, OSError)
        names = _CA_VARIABLES if of_tls else _PROXY_VARIABLES
        given = [name for name in os.environ if name.upper() in names] or list(names)
        what = "the CA bundle" if of_tls else "the proxy"
        if isinstance(error, ImportError):
            what = "the SOCKS proxy (which needs the package httpx[socks])"
        raise ConfigurationError(
            f"No connection can be made with {what} that the environment of this process names "
            f"({type(error).__name__}): correct {' or '.join(sorted(given))}. Nothing was sent."
        ) from None


def never_sent(error: BaseException) -> bool:
    """Whether not a byte of the request can have left."""
    return isinstance(error, _NEVER_SENT)


def trouble(error: BaseException) -> Trouble:
    """What lies at the bottom of a transport error."""
    if isinstance(error, httpx.ProxyError):
        return Trouble.PROXY
    bottom: BaseException | None = error
    for _ in range(_DEEPEST_CAUSE):
        for kinds, meaning in _TROUBLES:
            if isinstance(bottom, kinds):
                return meaning
        if isinstance(bottom, OSError) and bottom.errno in _NO_WAY:
            return Trouble.UNREACHABLE
        bottom = bottom and (bottom.__cause__ or bottom.__context__)
    return Trouble.BROKEN


_own_traffic: ContextVar[bool] = ContextVar("airflow_ltx_own_traffic", default=False)


class _OwnTraffic(logging.Filter):
    """Keeps httpx from logging our calls: a line per poll is noise, and its URLs may be signed."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _own_traffic.get()


_FILTER = _OwnTraffic()
for _name in ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy"):
    logging.getLogger(_name).addFilter(_FILTER)


@contextmanager
def unlogged() -> Iterator[None]:
    """Calls inside leave no line in httpx's own loggers; other users of httpx keep theirs."""
    token = _own_traffic.set(True)
    try:
        yield
    finally:
        _own_traffic.reset(token)
