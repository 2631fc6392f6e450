"""Reading a finished file from the file host: without the key, counted, bounded, restartable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from airflow_ltx import __version__
from airflow_ltx.exceptions import DownloadFailed
from airflow_ltx.segmind.redact import quote_service, without_query
from airflow_ltx.segmind.transport import shared_ssl_context, timeouts, unlogged
from airflow_ltx.segmind.watchdog import time_limit

MOST_REDIRECTS = 3
_ERROR_PAGES = ("text/html", "application/json", "application/xml", "text/xml")
_NO_DEADLINE = 24 * 3600.0


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
    """Open a finished file; yields what was announced and an iterator over its bytes.

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
        limit = _NO_DEADLINE if deadline is None else deadline - clock()
        try:
            with time_limit(limit) as extensions, _follow(http, url, extensions) as response:
                announced = _announced(response)
                yield announced, _counted(response, announced, url, deadline, clock)
        except (httpx.HTTPError, httpx.StreamError) as error:
            why = quote_service(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
            raise DownloadFailed(
                f"Downloading {without_query(url)} broke off ({why}). Downloading again is free.",
                transient=True,
            ) from None


@contextmanager
def _follow(http: httpx.Client, url: str, extensions: dict[str, Any]) -> Iterator[httpx.Response]:
    for _ in range(MOST_REDIRECTS + 1):
        with closing(_get(http, url, extensions)) as response:
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


def _get(http: httpx.Client, url: str, extensions: dict[str, Any]) -> httpx.Response:
    try:
        with unlogged():
            return http.send(http.build_request("GET", url, extensions=extensions), stream=True)
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        # Not chained: the text quotes parts of a URL that may be signed.
        raise DownloadFailed(
            f"{without_query(url)} cannot be fetched ({type(error).__name__}): it, or the place it "
            "redirects to, is no usable URL, and is not followed.",
            transient=False,
        ) from None


def _check_status(status: int, url: str) -> None:
    if status == 200:
        return
    shown = without_query(url)
    if status in (408, 425, 429) or status >= 500:
        raise DownloadFailed(
            f"The file host answered HTTP {status} for {shown}. Downloading again is free.",
            transient=True,
            http_status=status,
        )
    raise DownloadFailed(
        f"The file host answered HTTP {status} for {shown}: the link is expired, or this network may not "
        "reach it. The Segmind console may still show the file.",
        transient=False,
        http_status=status,
    )


def _announced(response: httpx.Response) -> Announced:
    media = response.headers.get("content-type", "").partition(";")[0].strip().lower() or None
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if media in _ERROR_PAGES or encoding != "identity":
        # Identity was asked for; the length of anything else says nothing about the file's.
        got = media if media in _ERROR_PAGES else f"a body in the encoding {encoding!r:.40}"
        raise DownloadFailed(
            f"The file host sent {got} where a finished file was expected from "
            f"{without_query(str(response.url))}. Nothing was saved.",
            transient=True,
        )
    length = response.headers.get("content-length", "")
    return Announced(content_type=media, length=int(length) if length.isdigit() else None)


def _counted(
    response: httpx.Response,
    announced: Announced,
    url: str,
    deadline: float | None,
    clock: Callable[[], float],
) -> Iterator[bytes]:
    received = 0
    # Unbuffered: a host that drips would otherwise fill a buffer for hours before the clock is looked at.
    for chunk in response.iter_bytes():
        received += len(chunk)
        if announced.length is not None and received > announced.length:
            break
        if deadline is not None and clock() > deadline:
            raise DownloadFailed(
                f"Downloading {without_query(url)} was too slow: {received} bytes until the deadline.",
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
