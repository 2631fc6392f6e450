"""One answer as it comes in: into memory, or, where a call asked for a file, onto the disk.

What both clients share of an exchange, but for the reading of the socket itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

from airflow_ltx.exceptions import DestinationError, SubmitOutcomeUnknown
from airflow_ltx.segmind.calls import Call
from airflow_ltx.segmind.losses import LARGEST_ANSWER, Heard, lost, perhaps_bought, too_large
from airflow_ltx.segmind.numbers import number_or_none
from airflow_ltx.segmind.protocol import ApiResponse, id_in, named_id
from airflow_ltx.segmind.whole_file import WholeFile, Written

# What concerns files is imported where an answer may be one.

LARGE = 256 * 1024
"""Bytes of an answer from which on its reading is felt by an event loop."""

T = TypeVar("T")
P = ParamSpec("P")


class Receiver(Generic[T]):
    """Takes one answer. :meth:`begin`, :meth:`take` for each piece, :meth:`finish`, and always :meth:`close`.

    Where ``call.target`` is set these block on a disk, and belong off event loops.

    :param sent_at: Epoch second at which the request was sent.
    """

    def __init__(self, call: Call[T], secret: str, sent_at: float) -> None:
        self._call = call
        self._secret = secret
        self._sent_at = sent_at
        self._heard = Heard()
        self._headers: Mapping[str, str] = {}
        self._body = bytearray()
        self._file: WholeFile | None = None
        self._undecided = False

    @property
    def large(self) -> bool:
        """Whether :meth:`finish` belongs off event loops."""
        return self._heard.received > LARGE

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of the answer is there. ``headers``: by whatever names httpx gives them."""
        self._headers = {name.lower(): value for name, value in headers.items()}
        self._heard.status = status
        if self._call.paid:
            self._heard.cost = number_or_none(self._headers.get("x-cost"))
        if self._call.target is None:
            return
        from airflow_ltx.segmind import sync_run

        self._heard.request_id = named_id(self._headers)
        if sync_run.is_file(status, self._headers):
            self._check_encoding()
            self._undecided = sync_run.is_untyped(self._headers)
            if not self._undecided:
                self._open(self._call.target)

    def take(self, chunk: bytes) -> None:
        """A piece of the body is there."""
        self._heard.received += len(chunk)
        if self._undecided and self._call.target is not None:
            from airflow_ltx.segmind import sync_run

            # All that came before were blanks.
            text = sync_run.is_text(chunk)
            self._undecided = text is None
            if text is False:
                chunk = bytes(self._body) + chunk
                self._body.clear()
                self._open(self._call.target)
        if self._file is not None:
            from airflow_ltx.segmind.media import SNIFFED

            self._body += chunk[: SNIFFED - len(self._body)] if len(self._body) < SNIFFED else b""
            with self._paid_for():
                self._file.write(chunk)
            return
        self._body += chunk
        if len(self._body) > (self._call.largest or LARGEST_ANSWER):
            raise too_large(self._call, self._heard)

    def finish(self) -> T:
        """The body is there: what the answer means."""
        written = None
        if self._file is not None:
            self._check_length()
            with self._paid_for():
                self._file.publish()
                written = self._file.written()
        return self._read(written)

    def close(self) -> None:
        """Leave nothing behind of a file that was not finished."""
        if self._file is not None:
            with suppress(OSError):
                self._file.__exit__(None, None, None)

    def broken_off(self, error: Exception) -> T:
        """What it means that the exchange, or the reading of its answer, broke with ``error``.

        A receipt is one as soon as all of its text is there: what ends an answer may get lost on its own.

        :raises SegmindError: The answer is lost.
        """
        heard = self._heard
        if self._call.paid and self._call.target is None and heard.status in range(200, 300):
            with suppress(Exception):
                return self._read(None)
            heard.request_id = heard.request_id or id_in(self._body)
        # Not chained: its text may quote the key, and ours says what is to be known.
        raise lost(error, self._call, heard, self._secret) from None

    def _read(self, written: Written | None) -> T:
        assert self._heard.status is not None, "begin() comes first"  # noqa: S101
        answer = ApiResponse(self._heard.status, self._headers, bytes(self._body), self._secret, written)
        return self._call.read(answer, self._sent_at)

    def _open(self, target: Path) -> None:
        with self._paid_for():
            self._file = WholeFile(target).__enter__()

    def _check_encoding(self) -> None:
        from airflow_ltx.segmind.announced import packed

        encoding = packed(self._headers)
        if encoding is not None:
            raise SubmitOutcomeUnknown(
                f"The answer to {self._call.subject} brings its file in the encoding {encoding!r:.40}, and "
                f"was not read. {perhaps_bought(self._heard)}",
                request_id=self._heard.request_id,
                http_status=self._heard.status,
            )

    def _check_length(self) -> None:
        length = self._headers.get("content-length", "")
        announced = int(length) if length.isdecimal() else None
        if self._heard.received == 0 or announced not in (None, self._heard.received):
            raise SubmitOutcomeUnknown(
                f"The answer to {self._call.subject} ended after {self._heard.received} bytes of its file, "
                f"where {'some' if announced is None else announced} were announced. "
                f"{perhaps_bought(self._heard)}",
                request_id=self._heard.request_id,
                http_status=self._heard.status,
            )

    @contextmanager
    def _paid_for(self) -> Iterator[None]:
        try:
            yield
        except DestinationError as error:
            from airflow_ltx.segmind import sync_run

            raise sync_run.paid_for(error, self._heard.request_id) from error.__cause__


async def off_loop(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``function`` on a thread, to its end: a cancelled caller must not close a file under a writer."""
    return await _on_thread(partial(function, *args, **kwargs), threading.Event())


async def off_loop_until_stopped(function: Callable[[threading.Event], T]) -> T:
    """As :func:`off_loop`; ``function`` is given an event that is set when its caller is cancelled."""
    stop = threading.Event()
    return await _on_thread(partial(function, stop), stop)


async def _on_thread(function: Callable[[], T], stop: threading.Event) -> T:
    running = asyncio.ensure_future(asyncio.to_thread(function))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        if not running.cancelled():
            # Looked at, so that the loop does not complain of an error that nobody asked for any more.
            running.exception()
        raise


async def at_once(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As :func:`off_loop`, where nothing blocks."""
    return function(*args, **kwargs)


def steps(call: Call[Any]) -> Callable[..., Any]:
    """How an event loop takes the steps of a :class:`Receiver`."""
    return at_once if call.target is None else off_loop
