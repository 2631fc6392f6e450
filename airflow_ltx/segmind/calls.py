"""Each call of the API as a value: what to send, how to read the answer, when to send it again.

The clients add nothing but I/O to these, so that both behave alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_ltx.segmind import protocol
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.models import (
    Credits,
    HistoryEntry,
    HistoryPage,
    RequestResult,
    RequestStatus,
    SubmittedRequest,
)
from airflow_ltx.segmind.protocol import ApiRequest, ApiResponse
from airflow_ltx.segmind.retry import READ, SUBMIT, UPLOAD, RetryPolicy

# The rarer calls bring their modules along: a task that submits and defers lives for less than their import.
if TYPE_CHECKING:
    from airflow_ltx.segmind.history import HistoryQuery
    from airflow_ltx.segmind.sync_run import Made

T = TypeVar("T")

_SLOWEST_UPLOAD = 256 * 1024
"""Bytes a second that an upload is given time for."""

LARGEST_LOOK = 2 * 1024 * 1024
"""Bytes of an answer that names no files. Those that do may hold them as base64."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call.

    :param read: Takes the answer and the epoch second at which the request was sent.
    :param paid: Whether a lost answer may have cost money; such calls get a connection of their own, since
        one from the pool may have been closed by the other side while the request is under way.
    :param again: What an error says of repeating a call that is not paid.
    :param timeout: Seconds instead of the configuration's.
    :param target: Where the body goes, should the answer be a file.
    :param largest: Bytes of an answer that are taken, where they are fewer than for all calls.
    """

    request: ApiRequest
    read: Callable[[ApiResponse, float], T]
    policy: RetryPolicy
    subject: str
    request_id: str | None = None
    paid: bool = False
    again: str = "Reading is free of charge and can be repeated."
    timeout: float | None = None
    target: Path | None = None
    largest: int | None = None


def submit(config: ClientConfig, model: str, parameters: Mapping[str, Any]) -> Call[SubmittedRequest]:
    """The paid call."""
    return Call(
        request=protocol.submit_request(config, model, parameters),
        read=lambda response, sent_at: protocol.read_submit(response, model, sent_at=sent_at),
        policy=SUBMIT,
        subject=f"the submit of {model}",
        paid=True,
    )


def run_sync(
    config: ClientConfig, model: str, parameters: Mapping[str, Any], target: Path, timeout: float
) -> Call[Made]:
    """The other paid call, which brings the file itself.

    :param target: As :func:`~airflow_ltx.segmind.sync_run.prepare` gave it.
    """
    from airflow_ltx.segmind import sync_run

    return Call(
        request=protocol.sync_request(config, model, parameters),
        read=_untimed(partial(sync_run.read_run, model=model, target=target)),
        policy=SUBMIT,
        subject=f"the synchronous run of {model}",
        paid=True,
        timeout=sync_run.check_timeout(timeout),
        target=target,
    )


def status(config: ClientConfig, request_id: str) -> Call[RequestStatus]:
    """A light look at a request."""
    return _reading(
        f"the status of request {request_id}",
        protocol.status_request(config, request_id),
        partial(protocol.read_status, request_id=request_id),
        request_id,
        largest=LARGEST_LOOK,
    )


def result(config: ClientConfig, request_id: str) -> Call[RequestResult]:
    """The record with its files."""
    return _reading(
        f"the result of request {request_id}",
        protocol.result_request(config, request_id),
        partial(protocol.read_result, request_id=request_id),
        request_id,
    )


def balance(config: ClientConfig) -> Call[Credits]:
    """The balance."""
    request = protocol.credits_request(config)
    return _reading("the balance", request, protocol.read_credits, largest=LARGEST_LOOK)


def history(config: ClientConfig, query: HistoryQuery) -> Call[HistoryPage]:
    """A page of the request history."""
    from airflow_ltx.segmind.history import history_request, read_history

    return _reading(
        "the request history",
        history_request(config, query),
        partial(read_history, query=query),
    )


def history_entry(config: ClientConfig, request_id: str) -> Call[HistoryEntry]:
    """One request of the history."""
    from airflow_ltx.segmind.history import history_entry_request, read_history_entry

    return _reading(
        f"request {request_id} in the request history",
        history_entry_request(config, request_id),
        partial(read_history_entry, request_id=request_id),
        request_id,
    )


def upload(config: ClientConfig, data_urls: Sequence[bytes]) -> Call[tuple[str, ...]]:
    """Files to public URLs.

    :param data_urls: As :func:`~airflow_ltx.segmind.upload.read_files` gave them.
    """
    from airflow_ltx.segmind.upload import read_upload, upload_request

    request = upload_request(config, data_urls)
    return Call(
        request=request,
        read=_untimed(partial(read_upload, count=len(data_urls))),
        policy=UPLOAD,
        subject="the upload",
        again="Uploading is free of charge and can be repeated; copies that were left cannot be deleted.",
        timeout=config.timeout + len(request.content or b"") / _SLOWEST_UPLOAD,
    )


def _reading(
    what: str,
    request: ApiRequest,
    read: Callable[[ApiResponse], T],
    request_id: str | None = None,
    largest: int | None = None,
) -> Call[T]:
    return Call(request, _untimed(read), READ, f"reading {what}", request_id, largest=largest)


def _untimed(read: Callable[[ApiResponse], T]) -> Callable[[ApiResponse, float], T]:
    return lambda response, sent_at: read(response)
