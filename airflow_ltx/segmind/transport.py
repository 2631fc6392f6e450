"""What both clients and the download share of httpx: TLS, limits, timeouts, and what its errors mean."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import httpx

from airflow_ltx.exceptions import (
    ConfigurationError,
    NotSent,
    SegmindError,
    ServiceUnavailable,
    SubmitOutcomeUnknown,
    UnreadableResponse,
)
from airflow_ltx.segmind.redact import quote_service, without_query

CONNECT_TIMEOUT = 5.0
POOL_TIMEOUT = 15.0
LARGEST_ANSWER = 32 * 1024 * 1024
"""Bytes. JSON answers are a few KB; models that put base64 into them stay far below this too."""

# Not LocalProtocolError: it can also come of a body that was half sent.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


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


def translate(
    error: Exception, *, subject: str, url: str, paid: bool, request_id: str | None, secret: str
) -> SegmindError:
    """The meaning of a transport error: never sent, lost after sending a paid call, or a read to repeat."""
    host = without_query(url).split("/")[2]
    # The parser quotes lines that it cannot read, and a broken gateway may echo what it was sent.
    why = quote_service(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, secret)
    if isinstance(error, _NEVER_SENT):
        meaning = (
            "Nothing was sent, nothing is billed; sending again is safe."
            if paid
            else "Reading is free of charge and can be repeated."
        )
        if "WRONG_VERSION_NUMBER" in why:
            # Waiting mends a lost network, not a wrong scheme.
            return ConfigurationError(
                f"{host} does not speak TLS, which {subject} needs. If the service there speaks plain HTTP, "
                f"write http:// in front of the connection's host. {meaning}",
                request_id=request_id,
            )
        return NotSent(f"No connection to {host} for {subject} ({why}). {meaning}", request_id=request_id)
    if paid:
        return SubmitOutcomeUnknown(
            f"The answer to {subject} was lost ({why}). The request may exist and be billed; it was not sent "
            "again. Look into the request history of the Segmind console before running the task once more.",
        )
    return ServiceUnavailable(
        f"The answer to {subject} was lost ({why}). Reading is free of charge and can be repeated.",
        request_id=request_id,
    )


def too_large(subject: str, *, paid: bool, request_id: str | None) -> SegmindError:
    """The error for an answer without end."""
    limit = f"{LARGEST_ANSWER // 2**20} MiB"
    if paid:
        return SubmitOutcomeUnknown(
            f"The answer to {subject} is larger than {limit} and was not read. The request may exist and be "
            "billed; it was not sent again."
        )
    return UnreadableResponse(f"The answer to {subject} is larger than {limit}.", request_id=request_id)


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
