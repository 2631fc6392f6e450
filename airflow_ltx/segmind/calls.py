"""Each call of the API as a value: what to send, how to read the answer, when to send it again.

The clients add nothing but I/O to these, so that both behave alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from airflow_ltx.segmind import protocol
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.models import Credits, RequestResult, RequestStatus, SubmittedRequest
from airflow_ltx.segmind.protocol import ApiRequest, ApiResponse
from airflow_ltx.segmind.retry import READ, SUBMIT, RetryPolicy

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call.

    :param read: Takes the answer and the epoch second at which the request was sent.
    :param paid: Whether a lost answer may have cost money; such calls get a connection of their own, since
        one from the pool may have been closed by the other side while the request is under way.
    """

    request: ApiRequest
    read: Callable[[ApiResponse, float], T]
    policy: RetryPolicy
    subject: str
    request_id: str | None = None
    paid: bool = False


def submit(config: ClientConfig, model: str, parameters: Mapping[str, Any]) -> Call[SubmittedRequest]:
    """The paid call."""
    return Call(
        request=protocol.submit_request(config, model, parameters),
        read=lambda response, sent_at: protocol.read_submit(response, model, sent_at=sent_at),
        policy=SUBMIT,
        subject=f"the submit of {model}",
        paid=True,
    )


def status(config: ClientConfig, request_id: str) -> Call[RequestStatus]:
    """A light look at a request."""
    return Call(
        request=protocol.status_request(config, request_id),
        read=_untimed(partial(protocol.read_status, request_id=request_id)),
        policy=READ,
        subject=f"reading the status of request {request_id}",
        request_id=request_id,
    )


def result(config: ClientConfig, request_id: str) -> Call[RequestResult]:
    """The record with its files."""
    return Call(
        request=protocol.result_request(config, request_id),
        read=_untimed(partial(protocol.read_result, request_id=request_id)),
        policy=READ,
        subject=f"reading the result of request {request_id}",
        request_id=request_id,
    )


def balance(config: ClientConfig) -> Call[Credits]:
    """The balance."""
    return Call(
        request=protocol.credits_request(config),
        read=_untimed(protocol.read_credits),
        policy=READ,
        subject="reading the balance",
    )


def _untimed(read: Callable[[ApiResponse], T]) -> Callable[[ApiResponse, float], T]:
    return lambda response, sent_at: read(response)
