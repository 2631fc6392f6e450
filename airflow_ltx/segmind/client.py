"""The ordinary client: thin I/O over :mod:`airflow_ltx.segmind.calls`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import httpx

from airflow_ltx.exceptions import SegmindError
from airflow_ltx.segmind import calls
from airflow_ltx.segmind.account import Account
from airflow_ltx.segmind.calls import Call
from airflow_ltx.segmind.clock import now, pause
from airflow_ltx.segmind.connecting import within_time_limits
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
from airflow_ltx.segmind.receive import Receiver
from airflow_ltx.segmind.retry import CallOptions, Clock, RetryPolicy, retrying
from airflow_ltx.segmind.transport import (
    buildable,
    client_options,
    exchange_limit,
    request_arguments,
    unlogged,
)
from airflow_ltx.segmind.turns import NEEDED, Turn
from airflow_ltx.segmind.watchdog import time_limit

if TYPE_CHECKING:
    from airflow_ltx.segmind.history import HistoryFilters
    from airflow_ltx.segmind.upload import File

T = TypeVar("T")


class SegmindClient:
    """Blocking client. Safe to share between threads; close it or use it as a context manager.

    Every method takes ``retry`` (a :class:`~airflow_ltx.segmind.retry.RetryPolicy` instead of the call's own)
    and ``deadline`` (epoch seconds after which no further attempt begins).

    :param transport: An httpx transport instead of the network, for tests.
    :param account: What is shared with other clients of the same key; by default nothing is.
    :raises ConfigurationError: The configuration names a host that can have no address, or the environment a
        proxy or a CA bundle that cannot be used.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        transport: httpx.BaseTransport | None = None,
        account: Account | None = None,
        clock: Clock = now,
        sleep: Callable[[float], None] = pause,
    ) -> None:
        self.config = config
        self.account = account or Account(config.requests_per_minute, clock=clock)
        self._clock = clock
        self._sleep = sleep
        # A connection for each call: only such can be cut when a call takes too long, and a handshake is
        # nothing beside the seconds between a blocking wait's looks.
        with buildable():
            self._http = within_time_limits(
                httpx.Client(transport=transport, **client_options(config, reuse=False))
            )

    def submit(
        self, model: str, parameters: Mapping[str, Any], **options: Unpack[CallOptions]
    ) -> SubmittedRequest:
        """Buy one run of ``model``. Sent again only if it provably never arrived or was refused by a 429.

        :raises SubmitOutcomeUnknown: The answer was lost: a request may exist and be billed.
        :raises SegmindError: It was refused; nothing was billed.
        """
        return self._run(calls.submit(self.config, model, parameters), **options)

    def run_sync(
        self,
        model: str,
        parameters: Mapping[str, Any],
        path: str | Path,
        *,
        timeout: float = SYNC_TIMEOUT,
        **options: Unpack[CallOptions],
    ) -> SyncResult:
        """Buy one run of ``model`` and write its file to ``path``, whole or not at all, as it comes.

        Sent again only as :meth:`submit` is. Whatever breaks once it was sent is final, and names the request
        if the answer had named it. That the path can be written is checked beforehand.

        :param timeout: Seconds for the answer to begin, and for every silence in it; the whole call may take
            twice as long.
        :raises SubmitOutcomeUnknown: The answer was lost or cut off, or refuses and names a cost: the run may
            be billed.
        :raises DestinationError: Not retryable: the disk refused the file after the run was paid for.
            Retryable: it refused beforehand, and nothing was sent.
        :raises SegmindError: It was refused or failed; nothing was billed.
        """
        from airflow_ltx.segmind import sync_run

        target = sync_run.path_of(path)
        call = calls.run_sync(self.config, model, parameters, target, timeout)
        sync_run.prepare(target)
        return sync_run.complete(self._run(call, **options), self.config)

    def status(self, request_id: str, **options: Unpack[CallOptions]) -> RequestStatus:
        """Where a request stands. Free of charge."""
        return self._run(calls.status(self.config, request_id), **options)

    def result(self, request_id: str, **options: Unpack[CallOptions]) -> RequestResult:
        """The files of a completed request. Free of charge.

        :raises RequestFailed: It ended as FAILED.
        :raises RequestNotFound: Unknown to this key, or older than the service keeps it.
        :raises OutputMissing: It was billed and names no file.
        """
        return self._run(calls.result(self.config, request_id), **options)

    def credits(self, **options: Unpack[CallOptions]) -> Credits:
        """The balance of the key's workspace. Free of charge."""
        return self._run(calls.balance(self.config), **options)

    def history(
        self,
        *,
        retry: RetryPolicy | None = None,
        deadline: float | None = None,
        **filters: Unpack[HistoryFilters],
    ) -> HistoryPage:
        """A page of the account's requests, newest first. Free of charge.

        :param filters: See :class:`~airflow_ltx.segmind.history.HistoryFilters`.
        :raises InvalidParameter: Nothing was sent.
        :raises SegmindError: The history could not be read, which says nothing about what is in it.
        """
        from airflow_ltx.segmind.history import history_query

        query = history_query(self._clock(), **filters)
        return self._run(calls.history(self.config, query), retry, deadline)

    def history_entry(self, request_id: str, **options: Unpack[CallOptions]) -> HistoryEntry:
        """One request of the account, of any age. Free of charge.

        :raises RequestNotFound: The account has no such request; a row may appear seconds after its request.
        :raises SegmindError: The history could not be read, which says nothing about the request.
        """
        return self._run(calls.history_entry(self.config, request_id), **options)

    def upload(
        self, *files: File, content_type: str | None = None, **options: Unpack[CallOptions]
    ) -> tuple[str, ...]:
        """Store files where the service, and everybody else, can read them; a URL for each, in their order.

        Free of charge. Nothing can delete them. Sent up to three times if the answer is lost, and each of
        those may leave a copy. All files travel in one JSON body, in memory: 32 MiB together at the most.

        :param files: Paths, or the bytes themselves.
        :param content_type: Of all files; default: by their first bytes, or their names.
        :raises InvalidParameter: A file cannot be read, is of no known kind, or too large. Nothing was sent.
        """
        from airflow_ltx.segmind.upload import read_files

        return self._run(calls.upload(self.config, read_files(files, content_type)), **options)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(
        self,
        call: Call[T],
        retry: RetryPolicy | None = None,
        deadline: float | None = None,
        turn: Turn = NEEDED,
    ) -> T:
        controller = retrying(retry or call.policy, deadline=deadline, clock=self._clock, sleep=self._sleep)
        answer: T = controller(self._once, call)
        return answer

    def _once(self, call: Call[T]) -> T:
        timeout = call.timeout or self.config.timeout
        self.account.check()
        with self.account.heeding():
            return self._exchange(call, timeout)

    def _exchange(self, call: Call[T], timeout: float) -> T:
        receiver = Receiver(call, self.config.api_key, self._clock())
        try:
            with (
                unlogged(),
                time_limit(exchange_limit(timeout)) as limit,
                self._http.stream(
                    **request_arguments(call, timeout), extensions=limit.extensions
                ) as response,
            ):
                receiver.begin(response.status_code, response.headers)
                for chunk in response.iter_bytes():
                    receiver.take(chunk)
            return receiver.finish()
        except SegmindError:
            raise
        except Exception as error:
            # httpx lets more pass than its own errors: a socket's OSError, a Location that is no URL.
            # After a paid call each of them means the same, that the answer is lost, and so does whatever a
            # reader stumbles over.
            return receiver.broken_off(error)
        finally:
            receiver.close()
