"""The clients: thin I/O over :mod:`airflow_ltx.segmind.calls`, ordinary and async."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from airflow_ltx import __version__
from airflow_ltx.exceptions import SegmindError
from airflow_ltx.segmind import calls
from airflow_ltx.segmind.calls import Call
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.models import Credits, RequestResult, RequestStatus, SubmittedRequest
from airflow_ltx.segmind.protocol import ApiResponse
from airflow_ltx.segmind.retry import Clock, RetryPolicy, async_retrying, retrying
from airflow_ltx.segmind.transport import (
    LARGEST_ANSWER,
    exchange_limit,
    shared_ssl_context,
    timeouts,
    too_large,
    translate,
    unlogged,
)
from airflow_ltx.segmind.watchdog import time_limit

T = TypeVar("T")

_POOL = httpx.Limits(max_connections=50, max_keepalive_connections=20, keepalive_expiry=30.0)
_FRESH = httpx.Limits(max_connections=50, max_keepalive_connections=0)


def _options(config: ClientConfig) -> dict[str, Any]:
    return {
        "headers": {
            "x-api-key": config.api_key,
            "user-agent": f"airflow-provider-ltx/{__version__}",
            "accept": "application/json",
        },
        "timeout": timeouts(config.timeout),
        "verify": shared_ssl_context(),
        "follow_redirects": False,
    }


def _request_kwargs(call: Call[T]) -> dict[str, Any]:
    extra = {} if call.request.content is None else {"content-type": "application/json"}
    return {
        "method": call.request.method,
        "url": call.request.url,
        "content": call.request.content,
        "headers": extra,
    }


def _answer(response: httpx.Response, body: bytes, config: ClientConfig) -> ApiResponse:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return ApiResponse(response.status_code, headers, body, secret=config.api_key)


def _lost(call: Call[T], error: Exception, config: ClientConfig) -> SegmindError:
    return translate(
        error,
        secret=config.api_key,
        subject=call.subject,
        url=call.request.url,
        paid=call.paid,
        request_id=call.request_id,
    )


@contextmanager
def _legible(call: Call[T], config: ClientConfig) -> Iterator[None]:
    """Whatever a reader stumbles over, a paid call's answer must not look as if nothing had been sent."""
    try:
        yield
    except SegmindError:
        raise
    except Exception as error:
        raise _lost(call, error, config) from None


class SegmindClient:
    """Blocking client. Safe to share between threads; close it or use it as a context manager.

    Every method takes ``retry`` (a :class:`~airflow_ltx.segmind.retry.RetryPolicy` instead of the call's own)
    and ``deadline`` (epoch seconds after which no further attempt begins).

    :param transport: An httpx transport instead of the network, for tests.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Clock = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.config = config
        self._clock = clock
        self._sleep = sleep
        # A connection for each call: only such can be cut when a call takes too long, and a handshake is
        # nothing beside the seconds between a blocking wait's looks.
        self._http = httpx.Client(limits=_FRESH, transport=transport, **_options(config))

    def submit(
        self,
        model: str,
        parameters: Mapping[str, Any],
        *,
        retry: RetryPolicy | None = None,
        deadline: float | None = None,
    ) -> SubmittedRequest:
        """Buy one run of ``model``. Sent again only if it provably never arrived or was refused by a 429.

        :raises SubmitOutcomeUnknown: The answer was lost: a request may exist and be billed.
        :raises SegmindError: It was refused; nothing was billed.
        """
        return self._run(calls.submit(self.config, model, parameters), retry, deadline)

    def status(
        self, request_id: str, *, retry: RetryPolicy | None = None, deadline: float | None = None
    ) -> RequestStatus:
        """Where a request stands. Free of charge."""
        return self._run(calls.status(self.config, request_id), retry, deadline)

    def result(
        self, request_id: str, *, retry: RetryPolicy | None = None, deadline: float | None = None
    ) -> RequestResult:
        """The files of a completed request. Free of charge.

        :raises RequestFailed: It ended as FAILED.
        :raises RequestNotFound: Unknown to this key, or older than the service keeps it.
        :raises OutputMissing: It was billed and names no file.
        """
        return self._run(calls.result(self.config, request_id), retry, deadline)

    def credits(self, *, retry: RetryPolicy | None = None, deadline: float | None = None) -> Credits:
        """The balance of the key's workspace. Free of charge."""
        return self._run(calls.balance(self.config), retry, deadline)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, call: Call[T], retry: RetryPolicy | None, deadline: float | None) -> T:
        controller = retrying(retry or call.policy, deadline=deadline, clock=self._clock, sleep=self._sleep)
        answer: T = controller(self._once, call)
        return answer

    def _once(self, call: Call[T]) -> T:
        sent_at = self._clock()
        answer = self._exchange(call)
        with _legible(call, self.config):
            return call.read(answer, sent_at)

    def _exchange(self, call: Call[T]) -> ApiResponse:
        body = bytearray()
        try:
            with (
                unlogged(),
                time_limit(exchange_limit(self.config.timeout)) as extensions,
                self._http.stream(**_request_kwargs(call), extensions=extensions) as response,
            ):
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > LARGEST_ANSWER:
                        raise too_large(call.subject, paid=call.paid, request_id=call.request_id)
                return _answer(response, bytes(body), self.config)
        except SegmindError:
            raise
        except Exception as error:
            # httpx lets more pass than its own errors: a socket's OSError, a Location that is no URL.
            # After a paid call each of them means the same, that the answer is lost. Not chained: its text
            # may quote the key, and ours says what is to be known.
            raise _lost(call, error, self.config) from None


class AsyncSegmindClient:
    """As :class:`SegmindClient`, for one event loop. :meth:`create` reads the CA bundle off the loop."""

    def __init__(
        self,
        config: ClientConfig,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.config = config
        self._clock = clock
        self._sleep = sleep
        shared = _options(config)
        self._http = httpx.AsyncClient(limits=_POOL, transport=transport, **shared)
        self._http_paid = httpx.AsyncClient(limits=_FRESH, transport=transport, **shared)

    @classmethod
    async def create(cls, config: ClientConfig) -> Self:
        """Build a client without blocking the running loop for the CA bundle and for proxies."""
        return await asyncio.to_thread(cls, config)

    async def submit(
        self,
        model: str,
        parameters: Mapping[str, Any],
        *,
        retry: RetryPolicy | None = None,
        deadline: float | None = None,
    ) -> SubmittedRequest:
        """As :meth:`SegmindClient.submit`."""
        return await self._run(calls.submit(self.config, model, parameters), retry, deadline)

    async def status(
        self, request_id: str, *, retry: RetryPolicy | None = None, deadline: float | None = None
    ) -> RequestStatus:
        """As :meth:`SegmindClient.status`."""
        return await self._run(calls.status(self.config, request_id), retry, deadline)

    async def result(
        self, request_id: str, *, retry: RetryPolicy | None = None, deadline: float | None = None
    ) -> RequestResult:
        """As :meth:`SegmindClient.result`."""
        return await self._run(calls.result(self.config, request_id), retry, deadline)

    async def credits(self, *, retry: RetryPolicy | None = None, deadline: float | None = None) -> Credits:
        """As :meth:`SegmindClient.credits`."""
        return await self._run(calls.balance(self.config), retry, deadline)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        await self._http_paid.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self, call: Call[T], retry: RetryPolicy | None, deadline: float | None) -> T:
        controller = async_retrying(
            retry or call.policy, deadline=deadline, clock=self._clock, sleep=self._sleep
        )
        return await controller(self._once, call)

    async def _once(self, call: Call[T]) -> T:
        sent_at = self._clock()
        answer = await self._exchange(call)
        with _legible(call, self.config):
            return call.read(answer, sent_at)

    async def _exchange(self, call: Call[T]) -> ApiResponse:
        http = self._http_paid if call.paid else self._http
        body = bytearray()
        try:
            async with asyncio.timeout(exchange_limit(self.config.timeout)):
                with unlogged():
                    async with http.stream(**_request_kwargs(call)) as response:
                        async for chunk in response.aiter_bytes():
                            body += chunk
                            if len(body) > LARGEST_ANSWER:
                                raise too_large(call.subject, paid=call.paid, request_id=call.request_id)
                        return _answer(response, bytes(body), self.config)
        except SegmindError:
            raise
        except Exception as error:
            # httpx lets more pass than its own errors: a socket's OSError, a Location that is no URL.
            # After a paid call each of them means the same, that the answer is lost. Not chained: its text
            # may quote the key, and ours says what is to be known.
            raise _lost(call, error, self.config) from None
