"""Which error an answer is: one place for every HTTP status of the service, told apart by its text where
the code alone says too little."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_ltx.exceptions import (
    AccessDenied,
    AuthenticationFailed,
    ContentBlocked,
    InsufficientCredits,
    ModelNotFound,
    ModelRetired,
    RateLimited,
    RequestFailed,
    RequestNotFound,
    RequestRejected,
    SegmindError,
    ServiceUnavailable,
    SpendLimitReached,
    SubmitOutcomeUnknown,
    Trouble,
    UnreadableResponse,
)
from airflow_ltx.segmind.models import Metrics
from airflow_ltx.segmind.numbers import number_or_none
from airflow_ltx.segmind.redact import quote_service, without_query
from airflow_ltx.segmind.waits import retry_after

if TYPE_CHECKING:
    from airflow_ltx.segmind.protocol import ApiResponse

_CONTENT_WORDS = (
    "content policy",
    "content moderation",
    "content violation",
    "content filter",
    "responsible ai",
    "responsible-ai",
    "blocked by moderation",
    "moderation policy",
    "flagged by moderation",
    "failed moderation",
    "nsfw",
    "sensitive content",
    "safety filter",
    "safety check",
    "safety system",
    "prohibited content",
    "inappropriate content",
)
_LIMIT_WORDS = re.compile(r"\b(spend(ing)?|team|credit|account)( \w+)? (limit|cap)\b|\bbudget\b")
_PROXIES = (
    "Let this machine through to it, and look at HTTP_PROXY, HTTPS_PROXY and NO_PROXY of its environment."
)
_NO_SUCH_PATH = re.compile(r"no route matched|cannot get /|404 page not found", re.IGNORECASE)
_CREDIT_WORDS = re.compile(r"\bcredits?\b|\b(insufficient|low|your|no) (balance|funds)\b")


def text_of(response: ApiResponse) -> str:
    """The service's own explanation, shortened and without secrets; empty if it gave none.

    ``error`` is its usual key, ``detail`` (string or list) and ``message`` were seen elsewhere. HTML is
    named, never quoted.
    """
    body = response.json_object()
    if body is None:
        raw = response.body.decode("utf-8", "replace").strip()
        return "an HTML page" if raw[:1] == "<" else quote_service(raw, response.secret)
    for key in ("error", "detail", "message"):
        said = flatten(body.get(key))
        if said:
            return quote_service(said, response.secret)
    return ""


def flatten(value: Any, depth: int = 4) -> str:
    """The words in an error of whatever JSON shape."""
    if isinstance(value, str):
        return value
    if depth == 0:
        return ""
    if isinstance(value, Mapping):
        return "; ".join(
            filter(
                None, (flatten(value.get(key), depth - 1) for key in ("msg", "message", "error", "detail"))
            )
        )
    if isinstance(value, list):
        return "; ".join(filter(None, (flatten(item, depth - 1) for item in value)))
    return ""


def charge(response: ApiResponse) -> float | None:
    """The cost above 0 that an answer to a paid call names, whatever else it says; None if it names none."""
    body = response.json_object()
    named = (
        number_or_none(response.headers.get("x-cost")),
        None if body is None else Metrics.read(body).cost,
    )
    return max((cost for cost in named if cost is not None and cost > 0), default=None)


def submit_error(response: ApiResponse, model: str, request_id: str | None = None) -> SegmindError:
    """Why a submit brought no id. All but 2xx, 408 and 5xx are refusals, and refusals are not billed.

    :param request_id: What the headers of the answer name; told where money may be spent.
    """
    status, headers, text = response.status, response.headers, text_of(response)
    said = f"HTTP {status}" + (f": {text}" if text else "")
    lowered = text.lower()
    body = response.json_object()
    receipt = body is not None and isinstance(body.get("request_id"), str)
    cost = charge(response)
    if 200 <= status < 300 or status >= 500 or status in (408, 499) or receipt or cost:
        named = f" It names a cost of ${cost:g}." if cost else ""
        known = f" Its id is {request_id}." if request_id else ""
        unknown = SubmitOutcomeUnknown(
            f"The submit of {model} was sent and answered with {said}, which is no receipt.{named} A request "
            f"may exist and be billed; it was not sent again.{known} Look into the request history of the "
            f"Segmind console before running the task once more. The whole answer: {whole_text(response)}",
            request_id=request_id,
            http_status=status,
        )
        unknown.said = f"{said}, which is no receipt"
        return unknown
    if _by_a_proxy(response):
        return AccessDenied(
            f"A proxy or a firewall on the way refused the request for {model} ({said}). It did not reach "
            f"the service. Nothing was billed. {_PROXIES} A retry is refused again until then.",
            http_status=status,
        )
    unbilled = f"The service refused the request for {model} ({said}). Nothing was billed"
    match status:
        case 401:
            return AuthenticationFailed(
                f"{unbilled}. The API key is missing, wrong or expired: correct the password of the Segmind "
                "connection. A retry with the same key fails again.",
                http_status=status,
            )
        case 402:
            return _no_credits(unbilled, status)
        case 403:
            return AccessDenied(
                f"{unbilled}. This key's team may not use the model: ask its owner, or use another key.",
                http_status=status,
            )
        case 404:
            return ModelNotFound(
                f"{unbilled}. No model has the slug {model!r}, or the base URL of the connection is not the "
                "service's.",
                http_status=status,
            )
        case 405:
            return RequestRejected(
                f"{unbilled}. The base URL of the connection is not the service's: nothing "
                "there takes a submit.",
                http_status=status,
            )
        case 406 if "content type" in lowered or "content-type" in lowered:
            return RequestRejected(
                f"{unbilled}. Something between here and the service changed the request's headers: look at "
                "the base URL and at proxies.",
                http_status=status,
            )
        case 406 if _LIMIT_WORDS.search(lowered):
            return SpendLimitReached(
                f"{unbilled}. The team's spend limit is used up: raise it in the Segmind console. Until then "
                "a retry fails again.",
                http_status=status,
            )
        case 406 if _CREDIT_WORDS.search(lowered):
            return _no_credits(unbilled, status)
        case 410:
            return ModelRetired(
                f"{unbilled}. The service has withdrawn this model: choose another one.", http_status=status
            )
        case 429:
            wait = retry_after(headers)
            told = f" in {wait:.0f} s" if wait is not None else " later"
            return RateLimited(
                f"{unbilled}. The account's limit of requests per minute is reached; sending again{told} is "
                "safe.",
                retry_after=wait,
            )
        case _ if 300 <= status < 400:
            return RequestRejected(
                f"{unbilled}. It answered with a redirect, which is not followed: the base URL of the "
                "connection is not the service's.",
                http_status=status,
            )
        case _:
            return RequestRejected(
                f"{unbilled}. The same parameters will be refused again: correct them.", http_status=status
            )


def _by_a_proxy(response: ApiResponse) -> bool:
    # The service's own refusals are JSON.
    return response.status == 407 or (response.status == 403 and _is_page(response))


def unknown_id(response: ApiResponse) -> bool:
    """Whether the service itself says that it knows no such id.

    A 404 may also be of a path, as a gateway's before the service, which knows nothing of what the account
    has. A page in HTML always is.
    """
    if response.status not in (404, 410) or _is_page(response):
        return False
    body = response.json_object() or {}
    # The service's own key is "error"; with these two, frameworks and gateways say that they know no path.
    if any(str(body.get(key)).strip(" .").lower() == "not found" for key in ("detail", "message")):
        return False
    return _NO_SUCH_PATH.search(text_of(response)) is None


def _is_page(response: ApiResponse) -> bool:
    return response.body.lstrip()[:1] == b"<"


def whole_text(response: ApiResponse) -> str:
    """As :func:`text_of`, all of the answer."""
    # Should an id be in it after all, the reader needs it more than a short message.
    if _is_page(response):
        return "an HTML page"
    return quote_service(response.body.decode("utf-8", "replace"), response.secret) or "empty"


def _no_credits(unbilled: str, status: int) -> InsufficientCredits:
    return InsufficientCredits(
        f"{unbilled}. The balance does not cover the model's estimated cost: add credits in the Segmind "
        "console. Until then a retry fails again.",
        http_status=status,
    )


def unpaid_error(
    response: ApiResponse, *, doing: str, request_id: str | None = None, where: str = "base URL"
) -> SegmindError:
    """Why a call that costs nothing brought nothing. All but a few of these are transient.

    :param doing: What was tried, such as "Reading the balance"; its first word names the kind of call.
    :param where: Which address of the connection the call went to.
    """
    text, target = text_of(response), response.headers.get("location")
    led = (
        f" to {quote_service(without_query(target), response.secret)}"
        if target and 300 <= response.status < 400
        else ""
    )
    said = f"HTTP {response.status}{led}" + (f": {text}" if text else "")
    failed = f"{doing} failed ({said}). {doing.partition(' ')[0]} is free of charge"
    error = _unpaid(response, failed, where)
    error.request_id, error.http_status, error.said = request_id, response.status, said
    return error


def _unpaid(response: ApiResponse, failed: str, where: str) -> SegmindError:
    match response.status:
        case 401:
            return AuthenticationFailed(
                f"{failed}. The API key is missing, wrong or expired: correct the password of the Segmind "
                "connection."
            )
        case 403 | 407 if _by_a_proxy(response):
            denied = AccessDenied(
                f"{failed}. A proxy or a firewall on the way refused it, and it did not reach the service. "
                f"{_PROXIES}"
            )
            if response.status == 407:
                denied.trouble = Trouble.PROXY
            return denied
        case 403:
            return AccessDenied(f"{failed}. This key may not do that.")
        case 429:
            return RateLimited(
                f"{failed}. The account's limit of requests per minute is reached.",
                retry_after=retry_after(response.headers),
            )
        case status if status >= 500 or status == 408:
            return ServiceUnavailable(f"{failed}.")
        case status:
            if status != 200:
                doubt = f"; is the {where} of the connection the service's?"
            else:
                doubt = "." if response.body.strip() else " (the body is empty)."
            return UnreadableResponse(f"{failed}. The answer is not what the API promises{doubt}")


def read_error(response: ApiResponse, request_id: str) -> SegmindError:
    """Why reading a request's status or result brought nothing."""
    error = unpaid_error(response, doing=f"Reading request {request_id}", request_id=request_id)
    if not unknown_id(response):
        return error
    return RequestNotFound(
        f"Reading request {request_id} failed ({error.said}). Reading is free of charge. The id is unknown "
        "to this key's workspace, or its record is older than the hour for which the service keeps it.",
        request_id=request_id,
        http_status=response.status,
    )


def failed_request(request_id: str | None, reason: str | None, metrics: Metrics) -> RequestFailed:
    """The error for a request that ended as FAILED."""
    subject = f"Request {request_id}" if request_id else "The request"
    blocked = reason is not None and any(word in reason.lower() for word in _CONTENT_WORDS)
    billed = (
        f"The service reports a cost of ${metrics.cost:g}"
        if metrics.cost
        else "Failed requests are not billed"
    )
    said = f": {reason.rstrip(' .')}" if reason else ", and the service gave no reason"
    if blocked:
        return ContentBlocked(
            f"{subject} was refused by the service's content moderation{said}. {billed}. The same "
            "input will be refused again: change the prompt or the picture.",
            request_id=request_id,
            reason=reason,
            cost=metrics.cost,
        )
    failure = RequestFailed(
        f"{subject} failed{said}. {billed}.",
        request_id=request_id,
        reason=reason,
        cost=metrics.cost,
    )
    failure.retryable = not metrics.cost
    return failure
