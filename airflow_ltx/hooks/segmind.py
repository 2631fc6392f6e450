"""The Segmind service for Python code in Airflow tasks, and for this package's operators and triggers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from airflow_ltx import metrics
from airflow_ltx.exceptions import ConfigurationError
from airflow_ltx.hooks._clients import shared_async_client, shared_client
from airflow_ltx.hooks._connection import client_config
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.endings import ending_error
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
from airflow_ltx.segmind.polling import End, Ending, Pacing, PollState
from airflow_ltx.segmind.retry import ONCE, submit_within
from airflow_ltx.segmind.turns import Turn
from airflow_ltx.segmind.waiting import async_wait_for_end, wait_for_end

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_ltx.segmind.async_client import AsyncSegmindClient
    from airflow_ltx.segmind.client import SegmindClient
    from airflow_ltx.segmind.history import HistoryFilters
    from airflow_ltx.segmind.upload import File

RequestId = str | SubmittedRequest

DEFAULT_TIMEOUT = 1200.0
"""Seconds that a wait lasts unless its caller says otherwise."""


class SegmindHook(BaseHook):
    """Talks to Segmind with the key of an Airflow connection.

    Only :meth:`submit`, :meth:`run_sync` and their async twins cost money. All reads are free and are
    repeated through transient errors. Clients are shared by everything in the process that uses the same
    connection.

    :param segmind_conn_id: Connection of type ``segmind``: password = API key, host = base URL.
    """

    conn_name_attr = "segmind_conn_id"
    default_conn_name = "segmind_default"
    conn_type = "segmind"
    hook_name = "Segmind"

    def __init__(self, segmind_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.segmind_conn_id = segmind_conn_id
        # What the line of a bought request goes on with, given its id: an operator knows what a retry does.
        self.what_then: Callable[[str], str] | None = None

    @cached_property
    def config(self) -> ClientConfig:
        """The connection, read once per hook.

        :raises ConfigurationError: It is missing, or cannot work as it is.
        """
        return _masked(client_config(self._connection), self._connection.password)

    @cached_property
    def _connection(self) -> Connection:
        try:
            return self.get_connection(self.segmind_conn_id)
        except Exception as error:
            raise self._unreadable(error) from error

    def connection_extra(self, name: str) -> Any:
        """A field of the connection's extra; None if it has none."""
        extra: Any = self._connection.extra_dejson
        return extra.get(name) if isinstance(extra, Mapping) else None

    def get_conn(self) -> SegmindClient:
        """The client of this process for the connection. Do not close it.

        :raises ConfigurationError: The connection cannot work as it is, or the proxy or the CA bundle that
            the environment names cannot be used.
        """
        return shared_client(self.config)

    async def aget_conn(self, *, refused: bool = False) -> AsyncSegmindClient:
        """As :meth:`get_conn`, for the running event loop.

        The connection is read again every few minutes.

        :param refused: The key was refused just now: read the connection again at once.
        """
        return await shared_async_client(self.segmind_conn_id, self._aconfig, refused=refused)

    def submit(
        self, model: str, parameters: Mapping[str, Any], *, patience: float | None = None
    ) -> SubmittedRequest:
        """Buy one run of a model. **Billed** when the run completes.

        Sent again only if it provably never reached the service, or was refused by a 429; so one call buys at
        most one run.

        :param model: The model's slug, such as ``"ltx-video"``.
        :param parameters: Sent as they are, as a flat JSON object.
        :param patience: Seconds that a rate limit's reset may be off to be waited for; default: some minutes.
        :raises RateLimited: It is further off. Nothing was bought; ``retry_after`` says how far.
        :raises SubmitOutcomeUnknown: The answer was lost: a run may have been bought.
        :raises SegmindError: The service refused; nothing was bought.
        """
        retry = None if patience is None else submit_within(patience)
        return self._bought(self.get_conn().submit(model, parameters, retry=retry))

    async def asubmit(
        self, model: str, parameters: Mapping[str, Any], *, patience: float | None = None
    ) -> SubmittedRequest:
        """As :meth:`submit`."""
        retry = None if patience is None else submit_within(patience)
        client = await self.aget_conn()
        return self._bought(await client.submit(model, parameters, retry=retry))

    def status(self, request_id: RequestId) -> RequestStatus:
        """Where a request stands. Free."""
        return self.get_conn().status(_id(request_id))

    async def astatus(self, request_id: RequestId) -> RequestStatus:
        """As :meth:`status`."""
        return await (await self.aget_conn()).status(_id(request_id))

    def result(self, request_id: RequestId) -> RequestResult:
        """The files of a completed request. Free; kept by the service for one hour."""
        return self.get_conn().result(_id(request_id))

    async def aresult(self, request_id: RequestId) -> RequestResult:
        """As :meth:`result`."""
        return await (await self.aget_conn()).result(_id(request_id))

    def credits(self) -> Credits:
        """The balance in US dollars. Free."""
        return self.get_conn().credits()

    async def acredits(self) -> Credits:
        """As :meth:`credits`."""
        return await (await self.aget_conn()).credits()

    def wait(
        self,
        request_id: RequestId,
        timeout: float = DEFAULT_TIMEOUT,
        poll_interval: float | None = None,
        *,
        submitted_at: float | None = None,
    ) -> RequestResult:
        """Wait for a request and return its files. Buys nothing, and can be called again with the same id.

        :param request_id: The id, or what :meth:`submit` returned; so for all methods.
        :param timeout: Seconds from now. The request is looked at once even if it is 0.
        :param poll_interval: Seconds between looks; None spaces them by how long the model usually takes.
        :param submitted_at: Epoch seconds, if known: a 404 is told apart by it.
        :raises WaitTimeout: Still running. Carries ``request_id``; the request goes on and is billed.
        :raises RequestFailed: It ended as FAILED.
        """
        client = self.get_conn()
        model = _model(request_id)
        request_id, submitted_at = _id(request_id), submitted_at or _submitted_at(request_id)
        state = self._poll_state(timeout, poll_interval, submitted_at)
        end = wait_for_end(
            lambda: client.status(request_id, retry=ONCE),
            state,
            pacing=lambda: Pacing(client.account.estimates.of(model)),
        )
        self._raise_for(end, request_id, submitted_at)
        return client.result(request_id)

    async def await_request(
        self,
        request_id: RequestId,
        timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - a deadline for the request, not for the coroutine
        poll_interval: float | None = None,
        *,
        submitted_at: float | None = None,
    ) -> RequestResult:
        """As :meth:`wait`, without blocking the event loop."""
        client = await self.aget_conn()
        model = _model(request_id)
        request_id, submitted_at = _id(request_id), submitted_at or _submitted_at(request_id)
        state = self._poll_state(timeout, poll_interval, submitted_at)
        with client.turns.waiting(), client.account.watching(model, submitted_at):
            end = await async_wait_for_end(
                lambda state: client.status(request_id, retry=ONCE, turn=Turn(state.worth)),
                state,
                pacing=lambda: Pacing(client.account.estimates.of(model), client.turns.share),
            )
        self._raise_for(end, request_id, submitted_at)
        return await client.result(request_id)

    def run_sync(
        self,
        model: str,
        parameters: Mapping[str, Any],
        path: str | Path,
        *,
        timeout: float = SYNC_TIMEOUT,
    ) -> SyncResult:
        """Buy one run of a model and wait for its file, in one call. **Billed** when the run completes.

        For models that take seconds. Not for ``ltx-video``: that takes 55 s on a warm machine, the service
        ends such calls after some 60 to 100 s, and there is no id to come back with, so a lost answer is a
        lost video. :meth:`submit` and :meth:`wait` have none of these holes.

        Sent again only if it provably never reached the service, or was refused by a 429. A task that fails
        in here should not be retried: ``retryable`` of the error says whether that would buy again.

        :param path: On this machine's disk. Checked before the call; written as the file comes, and there
            whole or not at all. A file of that name is replaced, and so is a symbolic link, whose target
            stays as it is; devices, FIFOs and sockets are refused.
        :param timeout: Seconds for the answer to begin, and for every silence in it.
        :raises SubmitOutcomeUnknown: The answer was lost or cut off: the run may be billed. ``request_id`` is
            there if the answer had named it, for :meth:`history_entry`.
        :raises DestinationError: The path cannot be written. If ``retryable`` is False the run is billed.
        :raises SegmindError: The service refused, or the run failed; nothing was billed.
        """
        return self.get_conn().run_sync(model, parameters, path, timeout=timeout)

    async def arun_sync(
        self,
        model: str,
        parameters: Mapping[str, Any],
        path: str | Path,
        *,
        timeout: float = SYNC_TIMEOUT,  # noqa: ASYNC109 - the answer's, not the coroutine's
    ) -> SyncResult:
        """As :meth:`run_sync`."""
        return await (await self.aget_conn()).run_sync(model, parameters, path, timeout=timeout)

    def history(
        self,
        *,
        model: str | None = None,
        status: str | None = None,
        since: date | None = None,
        until: date | None = None,
        page: int = 1,
        per_page: int = 20,
    ) -> HistoryPage:
        """A page of the account's requests, newest first, failed and running ones too. Free.

        Rows appear seconds after their requests, and their fields one after another.

        :param model: A part of a slug; other models whose slugs contain it are told, too.
        :param status: ``COMPLETED``, ``FAILED`` or ``PENDING``.
        :param since: First day, in UTC; by default a week before the last.
        :param until: Last day, included; by default today. At most 31 days in all.
        :param per_page: 1 to 100 rows. A request of several outputs has a row for each, and one entry.
        :raises SegmindError: The history could not be read, which says nothing about what is in it.
        """
        return self.get_conn().history(
            model=model, status=status, since=since, until=until, page=page, per_page=per_page
        )

    async def ahistory(self, **filters: Unpack[HistoryFilters]) -> HistoryPage:
        """As :meth:`history`."""
        return await (await self.aget_conn()).history(**filters)

    def history_entry(self, request_id: RequestId) -> HistoryEntry:
        """One request of any age, with its cost, inputs and files. Free.

        :raises RequestNotFound: This key's own account has no such request, or none yet.
        :raises SegmindError: The history could not be read, which says nothing about the request.
        """
        return self.get_conn().history_entry(_id(request_id))

    async def ahistory_entry(self, request_id: RequestId) -> HistoryEntry:
        """As :meth:`history_entry`."""
        return await (await self.aget_conn()).history_entry(_id(request_id))

    def upload(self, *files: File, content_type: str | None = None) -> tuple[str, ...]:
        """Put files where models can read them, such as the ``image`` of a video. Free.

        Returns a URL for each file, in their order. The URLs are public, and nothing can delete what is
        there. If an answer is lost the files are sent again, twice at the most; each sending may leave a copy
        of its own.

        :param files: Paths on this machine, or bytes. 32 MiB together at the most: they travel as base64 in
            one JSON body, and take some four times their size in memory.
        :param content_type: Of all files; by default told by their first bytes or names.
        :raises InvalidParameter: A file cannot be read, is of no known kind, or too large. Nothing was sent.
        """
        return self.get_conn().upload(*files, content_type=content_type)

    async def aupload(self, *files: File, content_type: str | None = None) -> tuple[str, ...]:
        """As :meth:`upload`."""
        return await (await self.aget_conn()).upload(*files, content_type=content_type)

    def test_connection(self) -> tuple[bool, str]:
        """Ask for the balance: free of charge, runs no model. Answers within some ten seconds."""
        from airflow_ltx.hooks._connection_test import try_connection, without_money

        try:
            config = self.config
        except ConfigurationError as error:
            # The form tests a nameless copy of the connection, and nothing was to be bought.
            return False, without_money(error.message.removeprefix(f"Connection {self.segmind_conn_id!r}: "))
        return try_connection(config)

    async def _aconfig(self) -> ClientConfig:
        try:
            connection = await self.aget_connection(self.segmind_conn_id)
        except Exception as error:
            raise self._unreadable(error) from error
        return _masked(client_config(connection), connection.password)

    def _unreadable(self, error: Exception) -> ConfigurationError:
        unreadable = ConfigurationError(
            f"Connection {self.segmind_conn_id!r} cannot be read ({type(error).__name__}: {error}). Nothing "
            "was sent. Create a connection of type Segmind with the API key as its password. Outside of a "
            "task, Airflow looks for connections in the environment and in secrets backends alone."
        )
        # A secrets backend that is down comes back by itself; a connection that does not exist does not.
        unreadable.retryable = not isinstance(error, AirflowNotFoundException)
        return unreadable

    def _bought(self, request: SubmittedRequest) -> SubmittedRequest:
        # First of all the id into the log: whatever breaks from here on, a person can find it there.
        then = "" if self.what_then is None else f" {self.what_then(request.request_id)}"
        self.log.info("Bought request %s of %s.%s", request.request_id, request.model, then)
        metrics.purchased(request.model)
        return request

    @staticmethod
    def _poll_state(timeout: float, interval: float | None, submitted_at: float | None) -> PollState:
        started = now()
        return PollState(
            started_at=started, deadline=started + timeout, submitted_at=submitted_at, interval=interval
        )

    @staticmethod
    def _raise_for(end: End, request_id: str, submitted_at: float | None) -> None:
        if end.ending is Ending.COMPLETED:
            return
        raise ending_error(
            end.ending,
            request_id,
            now=now(),
            submitted_at=submitted_at,
            reason=end.reason,
            metrics=end.status.metrics if end.status else None,
            last_word=end.word,
        ) from end.error


def _id(request: RequestId) -> str:
    return request.request_id if isinstance(request, SubmittedRequest) else request


def _model(request: RequestId) -> str | None:
    return request.model if isinstance(request, SubmittedRequest) else None


def _submitted_at(request: RequestId) -> float | None:
    return request.submitted_at if isinstance(request, SubmittedRequest) else None


def _masked(config: ClientConfig, password: str | None) -> ClientConfig:
    # Airflow masks the password as it is stored; a blank or a line break around it makes that another text.
    if config.api_key != password:
        mask_secret(config.api_key)
    return config
