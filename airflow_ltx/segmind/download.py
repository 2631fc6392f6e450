"""Reading a finished file from the file host: without the key, bounded, resumed where it was cut off."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import httpx

from airflow_ltx import __version__
from airflow_ltx.exceptions import DownloadFailed
from airflow_ltx.segmind.announced import Announced, rest_of
from airflow_ltx.segmind.announced_digest import Doubts
from airflow_ltx.segmind.clock import now, pause
from airflow_ltx.segmind.connecting import within_time_limits
from airflow_ltx.segmind.file_answers import announced_in, check_size, check_status, redirected
from airflow_ltx.segmind.media import MAX_BYTES
from airflow_ltx.segmind.reach import Reach, proxy_for
from airflow_ltx.segmind.redact import quote_service, without_query
from airflow_ltx.segmind.retry import DOWNLOAD, retrying
from airflow_ltx.segmind.stopping import check_wanted
from airflow_ltx.segmind.transport import buildable, shared_ssl_context, timeouts, unlogged
from airflow_ltx.segmind.watchdog import TimeLimit, time_limit

_log = logging.getLogger(__name__)

MOST_REDIRECTS = 3

_NO_DEADLINE = 24 * 3600.0
_PROGRESS = 64 * 1024
"""Bytes of an answer below which the next one is waited for: some hosts break off again and again."""


@contextmanager
def open_download(
    url: str,
    *,
    reach: Reach,
    timeout: float = 30.0,
    deadline: float | None = None,
    max_bytes: int = MAX_BYTES,
    clock: Callable[[], float] = now,
    sleep: Callable[[float], None] = pause,
    stop: threading.Event | None = None,
    doubts: Doubts | None = None,
    transport: httpx.BaseTransport | None = None,
) -> Iterator[tuple[Announced, Iterator[bytes]]]:
    """Open a finished file; yields what was announced and an iterator over its bytes.

    The API key is never sent: file hosts are not the service. Redirects are followed at most three times,
    each within ``reach`` and never from https to http. Where the host gives ranges and a validator, what is
    cut off is resumed until ``deadline``.

    :param reach: Schemes and addresses that may be asked.
    :param timeout: Seconds of silence after which a connection is given up.
    :param deadline: On ``clock``; reading beyond it fails.
    :param max_bytes: Size above which a file is refused: before its first byte if it is announced.
    :param stop: Once it is set, the connection is cut, however silent the host is, nothing more is asked, and
        ``Stopped`` is raised.
    :param doubts: That of all attempts at this file. Without it, what is announced is always right.
    :raises DownloadFailed: ``transient`` tells whether the same download may succeed a moment later. Also
        raised by the iterator, if fewer, more or other bytes arrive than were announced.
    """
    seconds = _NO_DEADLINE if deadline is None else deadline - clock()
    stop = stop or threading.Event()
    with time_limit(seconds, stop) as limit, ExitStack() as stack:
        host = _FileHost(url, reach, timeout, transport, limit)
        with _broken_off(url, stop):
            response = stack.enter_context(host.answer({}))
            check_status(response.status_code, url, expected=200)
            announced = announced_in(response)
        check_size(announced.length, max_bytes, url)
        reading = _Reading(
            host, announced, response, stack.pop_all(), deadline, max_bytes, clock, sleep, stop, doubts
        )
        stack.callback(reading.close)
        yield announced, reading.chunks()


class _FileHost:
    """Where one URL leads to."""

    def __init__(
        self,
        url: str,
        reach: Reach,
        timeout: float,
        transport: httpx.BaseTransport | None,
        limit: TimeLimit,
    ) -> None:
        self.url = url
        self._reach = reach
        self._timeout = timeout
        self._transport = transport
        self.limit = limit

    @contextmanager
    def answer(self, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """The last answer of a chain of redirects."""
        url = self.url
        for _ in range(MOST_REDIRECTS + 1):
            with self._get(url, headers) as response:
                location = response.headers.get("location")
                if not (300 <= response.status_code < 400 and location):
                    yield response
                    return
            url = redirected(url, location)
        raise DownloadFailed(
            f"The file host redirected more than {MOST_REDIRECTS} times, last to {without_query(url)}.",
            transient=False,
        )

    @contextmanager
    def _get(self, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        proxy = proxy_for(url)
        self._reach.check_url(url)
        traces = [self.limit.trace] if proxy else [self.limit.trace, self._reach.guard(url)]

        def trace(event: str, info: Mapping[str, Any]) -> None:
            for each in traces:
                each(event, info)

        with buildable():
            # No environment: a .netrc would send its credentials along.
            http = httpx.Client(
                timeout=timeouts(self._timeout),
                verify=shared_ssl_context(),
                follow_redirects=False,
                transport=self._transport,
                proxy=proxy,
                trust_env=False,
                headers={"user-agent": f"airflow-provider-ltx/{__version__}", "accept-encoding": "identity"},
            )
        with within_time_limits(http):
            try:
                request = http.build_request("GET", url, headers=headers, extensions={"trace": trace})
                with unlogged():
                    response = http.send(request, stream=True)
            except (httpx.InvalidURL, UnicodeError, ValueError) as error:
                # Not chained: the text quotes parts of a URL that may be signed.
                raise DownloadFailed(
                    f"{without_query(url)} cannot be fetched ({type(error).__name__}): it, or the place it "
                    "redirects to, is no usable URL, and is not followed.",
                    transient=False,
                ) from None
            try:
                yield response
            finally:
                response.close()


class _Reading:
    """The bytes of one file, through as many answers as it takes."""

    def __init__(
        self,
        host: _FileHost,
        announced: Announced,
        response: httpx.Response,
        open_now: ExitStack,
        deadline: float | None,
        max_bytes: int,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        stop: threading.Event,
        doubts: Doubts | None,
    ) -> None:
        self._host = host
        self._announced = announced
        self._response = response
        self._open = open_now
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._clock = clock
        self._sleep = sleep
        self._stop = stop
        self._doubts = doubts
        self._length = announced.length
        self._sum = announced.digest.begin() if announced.digest else None
        self._received = 0
        self._asked_from = 0
        self._fruitless = 0

    def close(self) -> None:
        self._open.close()

    def chunks(self) -> Iterator[bytes]:
        while True:
            try:
                yield from self._rest()
                return
            except DownloadFailed as error:
                resumable = self._received and self._announced.validator is not None
                if not resumable or not _RESUME.allowed(error):
                    raise
                self._open.close()
                self._wait_after(error)
            self._resume()

    def _rest(self) -> Iterator[bytes]:
        """What this answer has.

        :raises DownloadFailed: It is not all.
        """
        url = self._host.url
        with _broken_off(url, self._stop):
            # Unbuffered: a host that drips would otherwise fill a buffer for hours, unseen by the clock.
            for chunk in self._response.iter_bytes():
                self._received += len(chunk)
                if self._length is not None and self._received > self._length:
                    raise _Over(self._wrong_length())
                check_size(self._received, self._max_bytes, url)
                self._check_time()
                if self._sum is not None:
                    self._sum.update(chunk)
                yield chunk
        # A file without a length ends where its connection does, also where that was cut from here.
        check_wanted(self._stop)
        if self._length is None and self._host.limit.expired:
            raise self._too_slow()
        self._check_time()
        if not self._received or (self._length is not None and self._received != self._length):
            raise DownloadFailed(self._wrong_length(), transient=True)
        self._check_digest()

    def _resume(self) -> None:
        """Ask for what is missing.

        :raises DownloadFailed: The host does not give it: the file is to be read anew.
        """
        again = retrying(_RESUME, deadline=self._deadline, clock=self._clock, sleep=self._sleep)
        again(self._ask)

    def _wait_after(self, error: DownloadFailed) -> None:
        """Wait, if the last answers have brought next to nothing: ever longer, as between failures.

        :raises DownloadFailed: ``error``, where that would take too long.
        """
        little = self._received - self._asked_from < _PROGRESS
        self._fruitless = self._fruitless + 1 if little else 0
        self._asked_from = self._received
        if not little:
            return
        seconds = _RESUME.wait(self._fruitless, error, random.random())  # noqa: S311
        if self._deadline is not None and self._clock() + seconds >= self._deadline:
            raise error
        self._sleep(seconds)

    def _ask(self) -> None:
        check_wanted(self._stop)
        self._check_time()
        url = self._host.url
        headers = {"range": f"bytes={self._received}-", "if-range": self._announced.validator or ""}
        with ExitStack() as stack, _broken_off(url, self._stop):
            response = stack.enter_context(self._host.answer(headers))
            if response.status_code in (200, 416):
                raise _not_resumed(url)
            check_status(response.status_code, url, expected=206)
            rest = rest_of(self._announced, response.headers, self._received)
            if rest is None or (rest.total is not None and self._length not in (None, rest.total)):
                raise _not_resumed(url)
            self._length = self._length if rest.total is None else rest.total
            if self._length is None:
                # A part may end anywhere, and nothing would tell where the file does.
                raise _not_resumed(url)
            self._response, self._open = response, stack.pop_all()

    def _check_time(self) -> None:
        if self._deadline is not None and self._clock() > self._deadline:
            raise self._too_slow()

    def _too_slow(self) -> _Over:
        return _Over(
            f"Downloading {without_query(self._host.url)} was too slow: {self._received} bytes until the "
            "deadline."
        )

    def _check_digest(self) -> None:
        told = self._announced.digest
        if told is None or self._sum is None or self._sum.digest() == told.value:
            return
        shown = without_query(self._host.url)
        if self._doubts is not None and self._doubts.settled(told.algorithm, self._sum.digest()):
            _log.warning(
                "Two downloads of %s brought the same bytes, which are others than its host announced by "
                "their %s in %s. The announcement is taken to be wrong.",
                shown,
                told.algorithm,
                told.header,
            )
            return
        raise _Over(
            f"Downloading {shown} brought other bytes than its host announced, by their {told.algorithm} in "
            f"{told.header}. Nothing was saved; downloading again is free."
        )

    def _wrong_length(self) -> str:
        announced = self._length if self._length is not None else "some"
        return (
            f"Downloading {without_query(self._host.url)} brought {self._received} bytes where {announced} "
            "were announced. Nothing was saved; downloading again is free."
        )


class _Over(DownloadFailed):
    """Nothing more can come of what was read so far; the file may still be read from its beginning."""

    def __init__(self, message: str) -> None:
        super().__init__(message, transient=True)


def _not_resumed(url: str) -> _Over:
    return _Over(f"The file host does not resume {without_query(url)}. Downloading again is free.")


_RESUME = replace(
    DOWNLOAD, name="resume", allowed=lambda error: DOWNLOAD.allowed(error) and not isinstance(error, _Over)
)
"""A part of a file: until the deadline, unless the host gives no parts of it."""


@contextmanager
def _broken_off(url: str, stop: threading.Event) -> Iterator[None]:
    """httpx's errors as ours; what was cut on purpose is no error."""
    try:
        yield
    except (httpx.HTTPError, httpx.StreamError) as error:
        check_wanted(stop)
        why = quote_service(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        raise DownloadFailed(
            f"Downloading {without_query(url)} broke off ({why}). Downloading again is free.", transient=True
        ) from None
