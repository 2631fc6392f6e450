"""Connecting within a time limit.

httpcore leaves the addresses of a name to the standard library, which tries one after another, each for the
whole connect timeout, whoever has stopped waiting meanwhile.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import httpx

from airflow_ltx.segmind.watchdog import seconds_left

MOST_ADDRESSES = 8


class _Connecting(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of a name's addresses that answers; what is connected to is looked at later.

        :raises httpcore.ConnectError: None of the first few does, or there is no time for more.
        """
        error: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in _addresses(host, port):
            left = seconds_left()
            if left is not None:
                timeout = left if timeout is None else min(timeout, left)
                if left <= 0:
                    raise httpcore.ConnectTimeout("the time for the whole call is over")
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
        raise error


def within_time_limits(client: httpx.Client) -> httpx.Client:
    """The client, whose connecting heeds the :func:`~airflow_ltx.segmind.watchdog.time_limit` around a call.

    httpx has no argument for it. Where another version of it keeps its pools elsewhere, it connects as ever.
    """
    mounted = getattr(client, "_mounts", {}).values()
    for transport in (getattr(client, "_transport", None), *mounted):
        pool = getattr(transport, "_pool", None)
        if isinstance(pool, httpcore.ConnectionPool):
            pool._network_backend = _Connecting()
    return client


def _addresses(host: str, port: int) -> Iterator[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
    distinct = dict.fromkeys(str(info[4][0]) for info in found)
    yield from list(distinct)[:MOST_ADDRESSES]
