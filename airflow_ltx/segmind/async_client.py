"""The async client: thin I/O over :mod:`airflow_ltx.segmind.calls`, and the queue in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import httpx

from airflow_ltx.exceptions import SegmindError
from airflow_ltx.segmind import calls
from airflow_ltx.segmind.account import Account
from airflow_ltx.segmind.calls import Call
from airflow_ltx.segmind.clock import apause, now
from airflow_ltx.segmind.endpoints import SYNC_TIMEOUT, ClientConfig
from airflow_ltx.segmind.models import (
    Credits,
    HistoryEntry,
    HistoryPage,
    RequestResult,
    RequestStatus,
    SubmittedRequest,
    SyncResult,
)
from airflow_ltx.segmind.receive import Receiver, off_loop, off_loop_until_stopped, steps
from airflow_ltx.segmind.retry import ONCE, CallOptions, Clock, RetryPolicy, async_retrying
from airflow_ltx.segmind.transport import (
    CONNECTIONS,
    buildable,
    client_options,
    exchange_limit,
    headers_of_reads,
    lean_transport,
    request_arguments,
    unlogged,
)
from airflow_ltx.segmind.turns import NEEDED, Turn, Turns

if TYPE_CHECKING:
    from airflow_ltx.segmind.history import HistoryFilters
    from airflow_ltx.segmind.upload import File

T = TypeVar("T")


class AsyncSegmindClient:
    """As :class:`SegmindClient`, for one event loop. :meth:`create` reads the CA bundle off the loop."""

    def __init__(
        self,
        config: ClientConfig,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        account: Account | None = None,
        clock: Clock = now,
        sleep: Callable[[float], Awaitable[None]] = apause,
    ) -> None:
        self.config = config
        self.account = account or Account(config.requests_per_minute, clock=clock)
        self.turns = Turns(self.account, at_once=CONNECTIONS, clock=clock, sleep=sleep)
        self._clock = clock
        self._sleep = sleep
        with buildable():
            self._http = httpx.AsyncClient(transport=transport, **client_options(config, reuse=True))
            self._http_paid = httpx.AsyncClient(transport=transport, **client_options(config, reuse=False))
            self._lean = transport or lean_transport()
            self._headers = headers_of_reads(config)

    @classmethod
    async def create(cls, config: ClientConfig, *, account: Account | None = None) -> Self:
        """Build a client without blocking the running loop for the CA bundle and for proxies."""
        return await asyncio.to_thread(partial(cls, config, account=account))

    async def submit(
        self, model: str, parameters: Mapping[str, Any], **options: Unpack[CallOptions]
    ) -> SubmittedRequest:
        """As :meth:`SegmindClient.submit`."""
        return await self._run(calls.submit(self.config, model, parameters), **options)

    async def run_sync(
        self,
        model: str,
        parameters: Mapping[str, Any],
        path: str | Path,
        *,
        timeout: float = SYNC_TIMEOUT,  # noqa: ASYNC109 - the answer's, not the coroutine's
        **options: Unpack[CallOptions],
    ) -> SyncResult:
        """As :meth:`SegmindClient.run_sync`; the disk is written off the event loop."""
        from airflow_ltx.segmind import sync_run

        target = sync_run.path_of(path)
        call = calls.run_sync(self.config, model, parameters, target, timeout)
        await off_loop(sync_run.prepare, target)
        made = await self._run(call, **options)
        return await off_loop_until_stopped(partial(sync_run.complete, made, self.config))

    async def status(self, request_id: str, **options: Unpack[CallOptions]) -> RequestStatus:
        """As :meth:`SegmindClient.status`."""
        return await self._run(calls.status(self.config, request_id), **options)

    async def result(self, request_id: str, **options: Unpack[CallOptions]) -> RequestResult:
        """As :meth:`SegmindClient.result`."""
        return await self._run(calls.result(self.config, request_id), **options)

    async def credits(self, **options: Unpack[CallOptions]) -> Credits:
        """As :meth:`SegmindClient.credits`."""
        return await self._run(calls.balance(self.config), **options)

    async def history(
        self,
        *,
        retry: RetryPolicy | None = None,
        deadline: float | None = None,
        **filters: Unpack[HistoryFilters],
    ) -> HistoryPage:
        """As :meth:`SegmindClient.history`."""
        from airflow_ltx.segmind.history import history_query

        query = history_query(self._clock(), **filters)
        return await self._run(calls.history(self.config, query), retry, deadline)

    async def history_entry(self, request_id: str, **options: Unpack[CallOptions]) -> HistoryEntry:
        """As :meth:`SegmindClient.history_entry`."""
        return await self._run(calls.history_entry(self.config, request_id), **options)

    async def upload(
        self, *files: File, content_type: str | None = None, **options: Unpack[CallOptions]
    ) -> tuple[str, ...]:
        """As :meth:`SegmindClient.upload`; files are read off the event loop."""
        from airflow_ltx.segmind.upload import read_files

        data_urls = await off_loop(read_files, files, content_type)
        return await self._run(calls.upload(self.config, data_urls), **options)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        await self._http_paid.aclose()
        if self._lean is not None:
            await self._lean.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(
        self,
        call: Call[T],
        retry: RetryPolicy | None = None,
        deadline: float | None = None,
        turn: Turn = NEEDED,
    ) -> T:
        if retry is ONCE:
            return await self._once(call, turn)
        controller = async_retrying(
            retry or call.policy, deadline=deadline, clock=self._clock, sleep=self._sleep
        )
        return await controller(self._once, call, turn)

    async def _once(self, call: Call[T], turn: Turn) -> T:
        timeout = call.timeout or self.config.timeout
        if call.paid:
            self.account.check()
            with self.account.heeding():
                return await self._exchange(call, timeout)
        async with self.turns.have(turn):
            with self.account.heeding():
                return await self._exchange(call, timeout)

    async def _exchange(self, call: Call[T], timeout: float) -> T:  # noqa: ASYNC109 - of each silence
        receiver = Receiver(call, self.config.api_key, self._clock())
        step = steps(call)
        try:
            async with asyncio.timeout(exchange_limit(timeout)):
                with unlogged():
                    response = await self._send(call, timeout)
                    try:
                        await step(receiver.begin, response.status_code, response.headers)
                        async for chunk in response.aiter_bytes():
                            await step(receiver.take, chunk)
                    finally:
                        await response.aclose()
            answer: T = await (off_loop if receiver.large else step)(receiver.finish)
            return answer
        except SegmindError:
            raise
        except Exception as error:
            # As for the ordinary client.
            return receiver.broken_off(error)
        finally:
            await step(receiver.close)

    async def _send(self, call: Call[T], timeout: float) -> httpx.Response:  # noqa: ASYNC109
        sent = request_arguments(call, timeout)
        if call.paid or self._lean is None:
            http = self._http_paid if call.paid else self._http
            return await http.send(http.build_request(**sent), stream=True)
        # Past the client, which would spend more on cookies, redirects and credentials that there are none of
        # than the transport spends on the call.
        extensions = {"timeout": sent.pop("timeout").as_dict()}
        sent["headers"] = {**self._headers, **sent["headers"]} if sent["headers"] else self._headers
        return await self._lean.handle_async_request(httpx.Request(**sent, extensions=extensions))
