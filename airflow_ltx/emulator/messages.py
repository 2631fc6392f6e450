"""Requests and answers as plain values: what the core reads and returns, and what the server carries out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_ltx.emulator.resolution import VideoPlan

JSON_TYPE = "application/json"
HTML_TYPE = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class EmulatedRequest:
    """One HTTP request. Header names are lower case; ``base_url`` is how the caller reached the server.

    Headers and body are not in its repr: one holds the key, the other may be large.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    base_url: str = "http://127.0.0.1"
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EmulatedResponse:
    """One answer, and what happens to it on its way.

    :param body: The bytes to send; ignored when ``file`` is given.
    :param file: The rendered MP4 of this plan is the body.
    :param ready_at: Time of the core's clock before which the answer does not exist (the synchronous API).
    :param render: A plan that will be asked for soon, so rendering may begin; the answer does not wait.
    :param request_id: The inference request that the answer is about.
    :param reset: Nothing is sent, the connection is reset.
    :param stall: Seconds of real time that the answer is held back.
    :param unhandled: After the stall the request goes to :meth:`EmulatorCore.resume`; nothing happened yet.
    :param truncate: Bytes of the body after which the connection ends; its whole length is announced.
    :param slow: Bytes of the body per second.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    file: VideoPlan | None = None
    ready_at: float | None = None
    render: VideoPlan | None = None
    request_id: str | None = None
    reset: bool = False
    stall: float = 0.0
    unhandled: bool = False
    truncate: int | None = None
    slow: float | None = None

    def json(self) -> Any:
        """Return the decoded body; ``ValueError`` if it is not JSON."""
        return json.loads(self.body)


def json_response(
    status: int,
    payload: Any,
    headers: Mapping[str, str] | None = None,
    *,
    render: VideoPlan | None = None,
    request_id: str | None = None,
) -> EmulatedResponse:
    """Return a JSON answer."""
    return EmulatedResponse(
        status,
        {"content-type": JSON_TYPE, **(headers or {})},
        json.dumps(payload).encode(),
        render=render,
        request_id=request_id,
    )


def error_response(
    status: int, text: str, headers: Mapping[str, str] | None = None, **more: Any
) -> EmulatedResponse:
    """Return the service's error envelope, ``{"error": text}``, with further fields if given."""
    return json_response(status, {"error": text, **more}, headers)


def html_response(status: int, title: str) -> EmulatedResponse:
    """Return an HTML page, as proxies and the verb check of the service send them."""
    head = f"<head><title>{title}</title></head>"
    page = f"<html>\n{head}\n<body><center><h1>{title}</h1></center></body>\n</html>\n"
    return EmulatedResponse(status, {"content-type": HTML_TYPE}, page.encode())
