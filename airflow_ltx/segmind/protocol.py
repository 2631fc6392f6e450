"""The protocol without I/O: requests as values, and what each answer means.

Both clients and the tests share this. A reader either returns a value or raises one error of
:mod:`airflow_ltx.exceptions`; the body is read before the HTTP status, since the service serves FAILED under
422 as well as under 200.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_ltx.exceptions import InvalidParameter, UnreadableResponse
from airflow_ltx.segmind.answers import (
    charge,
    failed_request,
    read_error,
    submit_error,
    text_of,
    unpaid_error,
)
from airflow_ltx.segmind.coerce import check_slug, shown
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.models import (
    Credits,
    Metrics,
    RequestResult,
    RequestStatus,
    State,
    SubmittedRequest,
)
from airflow_ltx.segmind.numbers import integer_or_none, number_or_none
from airflow_ltx.segmind.outputs import read_outputs
from airflow_ltx.segmind.plain import parsed
from airflow_ltx.segmind.redact import quote_service
from airflow_ltx.segmind.whole_file import Written

LONGEST_WORD = 100
REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")
_NAMED = re.compile(rb'"request_id"\s*:\s*"(%s)"' % REQUEST_ID.pattern.encode())


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One call, without the key. ``content``: the JSON body, None for GET."""

    method: str
    url: str
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """One answer. ``headers`` have lower-case names. ``secret``: the key, so that no message can echo it.

    :param file: Set if the body was a file and went to the disk; ``body`` then holds its first bytes alone.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    secret: str | None = field(default=None, repr=False)
    file: Written | None = None

    def json(self) -> Any:
        """The body as a JSON value, see :func:`parsed`; None if it is none (empty, HTML, cut off)."""
        return parsed(self.body)

    def json_object(self) -> dict[str, Any] | None:
        """The body as a JSON object; None if it is anything else."""
        parsed = self.json()
        return parsed if isinstance(parsed, dict) else None


def submit_request(config: ClientConfig, model: str, parameters: Mapping[str, Any]) -> ApiRequest:
    """The paid call: ``POST /v2/{model}`` with the parameters as a flat JSON object.

    :raises InvalidParameter: If the slug or the parameters cannot be sent.
    """
    return ApiRequest("POST", config.submit_url(check_slug(model)), _flat_json(model, parameters))


def sync_request(config: ClientConfig, model: str, parameters: Mapping[str, Any]) -> ApiRequest:
    """The other paid call: ``POST /v1/{model}``, which answers with the file when it is made.

    :raises InvalidParameter: If the slug or the parameters cannot be sent.
    """
    return ApiRequest("POST", config.sync_url(check_slug(model)), _flat_json(model, parameters))


def _flat_json(model: str, parameters: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(dict(parameters), allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise InvalidParameter([f"the parameters are not plain JSON ({error})"], model=model) from None


def status_request(config: ClientConfig, request_id: str) -> ApiRequest:
    """A look without the outputs; free of charge."""
    return ApiRequest("GET", config.status_url(check_request_id(request_id)))


def result_request(config: ClientConfig, request_id: str) -> ApiRequest:
    """The whole record; free of charge."""
    return ApiRequest("GET", config.result_url(check_request_id(request_id)))


def credits_request(config: ClientConfig) -> ApiRequest:
    """The balance; free of charge, runs no model."""
    return ApiRequest("GET", config.credits_url)


def check_request_id(request_id: object) -> str:
    """Return the id if it can stand in a URL's path.

    :raises InvalidParameter: Otherwise.
    """
    if not isinstance(request_id, str) or not REQUEST_ID.fullmatch(request_id):
        raise InvalidParameter([f"request_id is {shown(request_id)}, which is no Segmind request id"])
    return request_id


def bare_id(request_id: str) -> str:
    """An id as it is compared: the service writes it with dashes in some places and without in others."""
    return request_id.replace("-", "").lower()


def named_id(headers: Mapping[str, str]) -> str | None:
    """The request's id, where the headers of an answer name it."""
    text = headers.get("x-request-id", "").strip()
    return text if REQUEST_ID.fullmatch(text) else None


def id_in(receipt: bytes | bytearray) -> str | None:
    """The request's id, where a receipt that was cut off names it."""
    named = _NAMED.search(receipt)
    return named[1].decode() if named else None


def read_submit(response: ApiResponse, model: str, *, sent_at: float) -> SubmittedRequest:
    """The id of the request that was just paid for.

    :raises SubmitOutcomeUnknown: 5xx, or a 2xx that names no id: a request may exist.
    :raises SegmindError: One of the refusals, none of them billed.
    """
    told = (response.json_object() or {}).get("request_id")
    request_id = told if isinstance(told, str) and REQUEST_ID.fullmatch(told) else None
    if 200 <= response.status < 300 and request_id is not None:
        return SubmittedRequest(request_id=request_id, model=model, submitted_at=sent_at)
    if request_id is None and charge(response):
        # Where nothing was bought the header is a gateway's business, and no id that a read would find.
        request_id = named_id(response.headers)
    raise submit_error(response, model, request_id)


def read_status(response: ApiResponse, request_id: str) -> RequestStatus:
    """Where a request stands. FAILED is a status here, not an error."""
    body = response.json_object()
    if body is not None:
        word = body.get("status")
        state = _state(word, response.status)
        if state.finished or (200 <= response.status < 300 and isinstance(word, str) and word.strip()):
            error = None
            if state is State.FAILED:
                error = text_of(response) or None
            shown = quote_service(str(word), response.secret)[:LONGEST_WORD]
            return RequestStatus(request_id, state, shown, error, Metrics.read(body))
    raise read_error(response, request_id)


def read_result(response: ApiResponse, request_id: str) -> RequestResult:
    """The files of a completed request.

    :raises RequestFailed: The request ended as FAILED. :class:`ContentBlocked` where the text says so.
    :raises OutputMissing: It is completed and names no file that could be fetched.
    :raises UnreadableResponse: It is not finished yet, or the answer is no record.
    """
    body = response.json_object()
    state = _state(body.get("status"), response.status) if body is not None else State.UNKNOWN
    if body is not None and state is State.FAILED:
        raise failed_request(request_id, text_of(response) or None, Metrics.read(body))
    if body is not None and state is State.COMPLETED:
        return RequestResult(
            request_id=request_id,
            outputs=read_outputs(body, request_id, secret=response.secret),
            seed=integer_or_none(body.get("seed")),
            metrics=Metrics.read(body),
        )
    if 200 <= response.status < 300 and body is not None and body.get("status"):
        raise UnreadableResponse(
            f"Request {request_id} is not finished yet: the service says "
            f"{quote_service(str(body['status']), response.secret)[:LONGEST_WORD]}. "
            "Reading it again is free.",
            request_id=request_id,
        )
    raise read_error(response, request_id)


def read_credits(response: ApiResponse) -> Credits:
    """The balance of the key's workspace."""
    body = response.json_object()
    if 200 <= response.status < 300 and body is not None:
        balance = number_or_none(body.get("credits"))
        if balance is not None:
            return Credits(credits=balance, free_credits=number_or_none(body.get("free-credits")))
    if response.status == 404 and "no credits found" in text_of(response).lower():
        # A workspace that never had a balance: the key is good, the account is empty.
        return Credits(credits=0.0)
    raise unpaid_error(response, doing="Reading the balance")


def _state(word: object, status: int) -> State:
    # A failure is served under 422 or 200. Under anything else the word is a gateway's own, and to take it
    # for the request's would be to buy another one; looking again is free.
    state = State.read(word)
    believed = 200 <= status < 300 or status == 422
    return state if believed or state is State.COMPLETED else State.UNKNOWN
