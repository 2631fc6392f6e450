"""What it means that an answer did not come whole: never sent, perhaps bought, or a free call to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_ltx.exceptions import (
    ConfigurationError,
    NotSent,
    SegmindError,
    ServiceUnavailable,
    SubmitOutcomeUnknown,
    UnreadableResponse,
)
from airflow_ltx.segmind.redact import quote_service, without_query
from airflow_ltx.segmind.transport import never_sent, trouble

if TYPE_CHECKING:
    from airflow_ltx.segmind.calls import Call

LARGEST_ANSWER = 32 * 1024 * 1024
"""Bytes. JSON answers are a few KB; models that put base64 into them stay far below this too."""


@dataclass(slots=True)
class Heard:
    """How much of an answer came. ``request_id``: what its headers named, ``received``: bytes of its body,
    ``cost``: what it says that the call cost, None if nothing."""

    status: int | None = None
    request_id: str | None = None
    received: int = 0
    cost: float | None = None


def lost(error: Exception, call: Call[Any], heard: Heard, secret: str) -> SegmindError:
    """The meaning of whatever broke an exchange."""
    host = without_query(call.request.url).split("/")[2]
    # The parser quotes lines that it cannot read, and a broken gateway may echo what it was sent.
    why = quote_service(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, secret)
    # Where an answer began, the request was there, whatever broke after it.
    if never_sent(error) and heard.status is None:
        meaning = "Nothing was sent, nothing is billed; sending again is safe." if call.paid else call.again
        kind: type[SegmindError] = NotSent
        text = f"No connection to {host} for {call.subject} ({why}). {meaning}"
        if "WRONG_VERSION_NUMBER" in why:
            # Waiting mends a lost network, not a wrong scheme.
            kind = ConfigurationError
            text = (
                f"{host} does not speak TLS, which {call.subject} needs. If the service there speaks plain "
                f"HTTP, write http:// in front of the connection's host. {meaning}"
            )
    elif call.paid:
        after = f" after {heard.received} bytes of it had come" if heard.received else ""
        kind, text = (
            SubmitOutcomeUnknown,
            (f"The answer to {call.subject} was lost ({why}){after}. {perhaps_bought(heard)}"),
        )
    else:
        kind, text = ServiceUnavailable, f"The answer to {call.subject} was lost ({why}). {call.again}"
    meant = kind(text, request_id=heard.request_id or call.request_id)
    meant.trouble, meant.said = trouble(error), why
    return meant


def perhaps_bought(heard: Heard) -> str:
    """What a person should know, and do, about a paid call without its answer."""
    ready = bool(heard.cost) or (heard.status is not None and 200 <= heard.status < 300)
    money = "It was probably billed" if ready else "The request may exist and be billed"
    if heard.request_id is None:
        return (
            f"{money}; it was not sent again. Look into the request history (SegmindHook.history, or the "
            "Segmind console) before running the task once more."
        )
    return (
        f"{money}; it was not sent again. Its id is {heard.request_id}: "
        f"SegmindHook.history_entry({heard.request_id!r}) tells what became of it and names its file, some "
        "seconds after it is made. Look there before running the task once more."
    )


def too_large(call: Call[Any], heard: Heard) -> SegmindError:
    """The error for an answer without end."""
    limit = f"{(call.largest or LARGEST_ANSWER) // 2**20} MiB"
    if call.paid:
        return SubmitOutcomeUnknown(
            f"The answer to {call.subject} is larger than {limit} and was not read. {perhaps_bought(heard)}",
            request_id=heard.request_id,
        )
    return UnreadableResponse(
        f"The answer to {call.subject} is larger than {limit}.", request_id=call.request_id
    )
