"""Landing in the triggerer: at once when a request completes, off the event loop, a few at a time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from airflow_ltx import metrics
from airflow_ltx.exceptions import SegmindError
from airflow_ltx.landing.destination import Destination
from airflow_ltx.landing.in_thread import LAST_WORDS
from airflow_ltx.landing.land import LANDING, LANDING_LIMIT, land_outputs
from airflow_ltx.landing.place import place_of
from airflow_ltx.landing.settings import landing_concurrency
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind.announced_digest import Doubts
from airflow_ltx.segmind.clock import apause, now
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.expiry import Expiry
from airflow_ltx.segmind.models import RequestResult
from airflow_ltx.segmind.narrate import Logger
from airflow_ltx.segmind.reach import Reach
from airflow_ltx.segmind.redact import quote_service
from airflow_ltx.segmind.retry import ONCE, async_retrying
from airflow_ltx.segmind.stopping import Stopped

T = TypeVar("T")

_REST = 0.01
"""Seconds that a landing leaves the interpreter to the event loop after each 64 KB. Threads that compute hold
up each of the loop's calls into the system by milliseconds, and every poll makes dozens. It still copies
6 MB/s, so a usual clip takes a second, and nobody's slot is held meanwhile."""

_LOOK = 30.0
"""Seconds between two looks whether a landing is late."""

_lock = threading.Lock()
_executors: dict[int, ThreadPoolExecutor] = {}
_prepared: set[tuple[int, str, str | None]] = set()


def prepare(landing: Mapping[str, Any]) -> None:
    """Open a destination's storage in the background, once in a process, before videos complete.

    The libraries of a cloud are large. Again and again the garbage collector would look through modules and
    API models that stay for good, and hold up every trigger of the process for a quarter of a second; so they
    are taken out of its sight, as Airflow does in its dag processor.
    """
    with contextlib.suppress(SegmindError):
        destination = Wish.from_json(landing).destination
        key = (os.getpid(), destination.kind, destination.conn_id)
        if key not in _prepared:
            _prepared.add(key)
            _executor().submit(copy_context().run, _open, destination)


async def land_here(
    landing: Mapping[str, Any],
    result: RequestResult,
    model: str | None,
    config: ClientConfig,
    log: Logger,
    *,
    submitted_at: float | None = None,
) -> tuple[tuple[dict[str, Any], ...], str | None]:
    """Land a completed request's files; returns them, or what stood in the way, which the worker then tries.

    A cancelled landing leaves nothing behind. One that fails waits for its next attempt outside the queue,
    so that it holds up no other.

    :param landing: See :meth:`airflow_ltx.landing.wish.Wish.to_json`.
    :param submitted_at: Epoch seconds, by which it is known until when the files can be had.
    """
    try:
        wish = Wish.from_json(landing)
        executor = await asyncio.to_thread(_executor)
    except SegmindError as error:
        return (), error.message
    stop, began = threading.Event(), now()
    latest = began + LANDING_LIMIT
    work = partial(
        _land,
        result.outputs,
        wish,
        result.request_id,
        reach=Reach.of(config),
        model=model,
        stop=stop,
        rest=_REST,
        latest=latest,
        policy=ONCE,
        doubts=Doubts(),
        landed=[],
    )
    late = asyncio.create_task(_say_when_late(result.request_id, submitted_at, log))
    try:
        again = async_retrying(LANDING, deadline=latest)
        landed: tuple[dict[str, Any], ...] = await again(_in_turn, executor, work, stop)
    except Exception as error:
        why = (
            error.message
            if isinstance(error, SegmindError)
            else quote_service(f"{type(error).__name__}: {error}")
        )
        log.warning("Landing in the triggerer failed, so the worker tries: %s", why)
        return (), why
    finally:
        late.cancel()
    metrics.landed("triggerer", now() - began, sum(each["size"] for each in landed))
    for each in landed:
        log.info("Landed: %s bytes of request %s are at %s.", each["size"], result.request_id, each["uri"])
    return landed, None


async def _in_turn(executor: Executor, work: Callable[[], T], stop: threading.Event) -> T:
    # The context tells Airflow's logging whose lines these are.
    future = executor.submit(copy_context().run, work)
    waiting = asyncio.wrap_future(future)
    # Looked at, so that the loop does not complain of the end of one that nobody waits for any more.
    waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        # Not to be cancelled along with its waiter: it would be taken to have ended then.
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        stop.set()
        if not future.cancel():
            await asyncio.to_thread(wait, [future], LAST_WORDS)
        raise


async def _say_when_late(request_id: str, submitted_at: float | None, log: Logger) -> None:
    expiry = Expiry(submitted_at)
    while True:
        await apause(_LOOK)
        late = expiry.warning()
        if late:
            log.warning("Request %s is completed, and its file not landed yet. %s", request_id, late)


def _land(
    *arguments: Any, stop: threading.Event, latest: float, **options: Any
) -> tuple[dict[str, Any], ...]:
    if stop.is_set():
        raise Stopped
    if now() > latest:
        raise SegmindError("No landing of this triggerer came to its end in time; see landing_concurrency.")
    return tuple(each.to_json() for each in land_outputs(*arguments, stop=stop, latest=latest, **options))


def _open(destination: Destination) -> None:
    # What stands in the way is said by the landing, if it still does.
    with contextlib.suppress(Exception):
        place_of(destination).find(destination.path)
    gc.freeze()


def _executor() -> ThreadPoolExecutor:
    with _lock:
        executor = _executors.get(os.getpid())
        if executor is None:
            executor = _executors[os.getpid()] = ThreadPoolExecutor(
                landing_concurrency(), thread_name_prefix="airflow-ltx-landing"
            )
        return executor
