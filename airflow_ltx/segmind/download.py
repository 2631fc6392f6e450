"""Reading a finished file from the file host: without the key, counted, bounded, restartable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpx

from airflow_ltx import __version__
from airflow_ltx.exceptions import DownloadFailed
from airflow_ltx.segmind.redact import without_query
from airflow_ltx.segmind.transport import shared_ssl_context, timeouts, unlogged

CHUNK = 256 * 1024
MOST_REDIRECTS = 3


@dataclass(frozen=True, slots=True)
class Announced:
    """What the file host said of the file before its bytes. ``length`` in bytes, None if it did not say."""

    content_type: str | None
    length: int | None


@contextmanager
def open_download(
    url: str,
    *,
    timeout: float = 30.0,
    deadline: float | None = None,
    clock: Callable[[], float] = time.time,
    transport: httpx.BaseTransport | None = None,
) -> Iterator[tuple[Announced, Iterator[bytes]]]:
    """Open a finished file; yields what was announced and an iterator over its bytes in :data:`CHUNK` steps.

    The API key is never sent: file hosts are not the service. Redirects are followed at most three times and
    never from https to http.

    :param timeout: Seconds of silence after which the connection is given up.
    :param deadline: On ``clock``; reading beyond it fails.
    :raises DownloadFailed: ``transient`` tells whether the same download may succeed a moment later. Also
        raised by the iterator, if fewer or more bytes arrive than were announced.
    """
    with httpx.Client(
        timeout=timeouts(timeout),
        verify=shared_ssl_context(),
        follow_redirects=False,
        transport=transport,
        headers={"user-agent": f"airflow-provider-ltx/{__version__}", "accept-encoding": "identity"},
    ) as http:
        try:
            with unlogged(), _follow(http, url) as response:
                announced = _announced(response)
                yield announced, _counted(response, announced, url, deadline, clock)
        except httpx.HTTPError as error:
            why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise DownloadFailed(
                f"Downloading {without_query(url)} broke off ({why}). The file was paid for and is still "
                "there; downloading again is free.",
                transient=True,
            ) from error


@contextmanager
def _follow(http: httpx.Client, url: str) -> Iterator[httpx.Response]:
    for _ in range(MOST_REDIRECTS + 1):
        with http.stream("GET", url) as response:
            location = response.headers.get("location")
            if not (300 <= response.status_code < 400 and location):
                _check_status(response.status_code, url)
                yield response
                return
        target = urljoin(url, location)
        if urlsplit(target).scheme not in ("http", "https") or (
            urlsplit(url).scheme == "https" and urlsplit(target).scheme == "http"
        ):
            raise DownloadFailed(
                f"The file host led from {without_query(url)} to {without_query(target)}, which is not "
                "followed: a download never leaves https.",
                transient=False,
            )
        url = target
    raise DownloadFailed(
        f"The file host redirected more than {MOST_REDIRECTS} times, last to {without_query(url)}.",
        transient=False,
    )


def _check_status(status: int, url: str) -> None:
    if status == 200:
        return
    shown = without_query(url)
    if status in (408, 425, 429) or status >= 500:
        raise DownloadFailed(
            f"The file host answered HTTP {status} for {shown}. The file was paid for; downloading again is "
            "free.",
            transient=True,
            http_status=status,
        )
    raise DownloadFailed(
        f"The file host answered HTTP {status} for {shown}: the link is expired, or this network may not "
        "reach it. The video was paid for; the Segmind console may still show it.",
        transient=False,
        http_status=status,
    )


def _announced(response: httpx.Response) -> Announced:
    media = response.headers.get("content-type", "").partition(";")[0].strip().lower() or None
    if media in ("text/html", "application/json", "text/plain"):
        raise DownloadFailed(
            f"The file host sent {media} where a finished file was expected from "
            f"{without_query(str(response.url))}. Nothing was saved.",
            transient=True,
        )
    length = response.headers.get("content-length", "")
    # A compressed body has another length than the file; identity was asked for, hosts may not care.
    plain = response.headers.get("content-encoding", "identity").lower() == "identity"
    return Announced(content_type=media, length=int(length) if length.isdigit() and plain else None)


def _counted(
    response: httpx.Response,
    announced: Announced,
    url: str,
    deadline: float | None,
    clock: Callable[[], float],
) -> Iterator[bytes]:
    received = 0
    for chunk in response.iter_bytes(CHUNK):
        received += len(chunk)
        if announced.length is not None and received > announced.length:
            break
        if deadline is not None and clock() > deadline:
            raise DownloadFailed(
                f"Downloading {without_query(url)} was too slow: {received} bytes until the deadline. The "
                "file was paid for and is still there.",
                transient=True,
            )
        yield chunk
    if received == 0 or (announced.length is not None and received != announced.length):
        raise DownloadFailed(
            f"Downloading {without_query(url)} brought {received} bytes where "
            f"{announced.length if announced.length is not None else 'some'} were announced. Nothing was "
            "saved; downloading again is free.",
            transient=True,
        )
