"""The gate of the emulated service: routes, keys, rate limits and scripted faults."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_ltx.emulator import models, records, uploads
from airflow_ltx.emulator.faults import Endpoint, FaultRule, FaultScript
from airflow_ltx.emulator.ledger import FaultEvent, Ledger
from airflow_ltx.emulator.messages import (
    JSON_TYPE,
    EmulatedRequest,
    EmulatedResponse,
    error_response,
    html_response,
    json_response,
)
from airflow_ltx.emulator.ratelimit import WINDOW_SECONDS, RateLimiter, reset_headers
from airflow_ltx.emulator.service import Call, Service
from airflow_ltx.emulator.settings import Settings
from airflow_ltx.emulator.workspaces import fingerprint

_MISSING_KEY = "Missing Authorization or x-api-key in header"
_WRONG_KEY = "Unauthorized. API key is invalid or may have expired..."
_GARBAGE = bytes.fromhex("1f8b00ff7b226572726f72223a20fefe00c328a0a1e2")
_REASONS = {
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service unavailable",
    504: "Gateway timeout",
    429: "Too many requests",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the route table. The pattern's group, if it has one, is the call's ``name``."""

    methods: frozenset[str]
    pattern: re.Pattern[str]
    endpoint: Endpoint
    handle: Callable[[Service, Call], EmulatedResponse]
    public: bool = False


_GET, _POST, _FILE = frozenset({"GET"}), frozenset({"POST"}), frozenset({"GET", "HEAD"})

ROUTES: tuple[Route, ...] = (
    Route(_GET, re.compile(r"/v2/requests/([^/]+)/status"), "status", Service.status),
    Route(_GET, re.compile(r"/v[12]/requests/([^/]+)"), "result", Service.result),
    Route(_GET, re.compile(r"/v1/get-user-credits"), "credits", Service.credits),
    Route(_POST, re.compile(r"/v2/([^/]+)"), "submit", Service.submit),
    Route(_POST, re.compile(r"/v1/([^/]+)"), "sync", Service.sync),
    Route(_FILE, re.compile(r"/files/([^/]+\.mp4)"), "download", Service.download, public=True),
    Route(_GET, re.compile(r"/inference-request/request-history"), "history", records.history),
    Route(_GET, re.compile(r"/inference-request/request-history/([^/]+)"), "history", records.history_entry),
    Route(_GET, re.compile(r"/inference-request/generations"), "generations", records.generations),
    Route(_GET, re.compile(r"/inference-request/recent-generations"), "generations", records.recent),
    Route(_GET, re.compile(r"/inference-model-information/list"), "models", models.models, public=True),
    Route(_GET, re.compile(r"/api/auth/authenticate"), "account", records.account),
    Route(_POST, re.compile(r"/upload-asset"), "upload", uploads.upload),
    Route(_FILE, re.compile(r"/assets/([^/]+)"), "asset", uploads.asset, public=True),
)
_POLLS = frozenset({"status", "result"})
_SUBMITS = frozenset({"submit", "sync"})
_BINARY = frozenset({"download", "sync", "asset"})


class EmulatorCore:
    """The whole emulated service in memory.

    :param clock: Seconds since the epoch; it must not run backwards.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._service = Service(settings, clock)
        self._limiter = RateLimiter()
        self._script = FaultScript(settings.faults)

    @property
    def settings(self) -> Settings:
        return self._service.settings

    @property
    def ledger(self) -> Ledger:
        return self._service.ledger

    @property
    def faults(self) -> tuple[FaultRule, ...]:
        return self._script.rules

    def configure(self, changes: Mapping[str, Any]) -> Settings:
        """Change settings by name; requests that were submitted keep what was drawn for them."""
        self._service.settings = self.settings.patched(changes)
        return self.settings

    def set_faults(self, rules: Iterable[FaultRule]) -> None:
        """Replace the script; its counts start anew."""
        self._script = FaultScript(rules)

    def add_faults(self, rules: Iterable[FaultRule]) -> None:
        """Append to the script; the rules already there keep their counts."""
        self._script.extend(rules)

    def note_size(self, file_name: str, size: int) -> None:
        """Tell the size in bytes of a rendered file."""
        self._service.note_size(file_name, size)

    def completed_at(self, request_id: str) -> float:
        """Return when the run of a known request ends; ``KeyError`` for an unknown one."""
        return self._service.completed_at(request_id)

    def balance(self, api_key: str) -> tuple[int, int, int]:
        """Return (available, billed, reserved) of a key's workspace now, in millionths of a credit."""
        return self._service.balance(fingerprint(api_key), self.clock())

    def handle(self, request: EmulatedRequest) -> EmulatedResponse:
        """Answer one request, with its effects and the faults scripted for it."""
        return self._handle(request, resumed=False)

    def resume(self, request: EmulatedRequest) -> EmulatedResponse:
        """Handle a request whose ``unhandled`` stall is over."""
        return self._handle(request, resumed=True)

    def _handle(self, request: EmulatedRequest, *, resumed: bool) -> EmulatedResponse:
        for route in ROUTES:
            found = route.pattern.fullmatch(request.path)
            if found is not None:
                break
        else:
            return error_response(404, "Not found")
        if request.method not in route.methods:
            return html_response(405, "405 Method Not Allowed")
        name = found[1] if route.pattern.groups else ""
        call = Call(request, route.endpoint, request.headers.get("x-api-key", ""), name, self.clock())
        subject = "" if route.endpoint in _SUBMITS else name
        early = None
        if self._script.rules and not resumed:
            early = self._script.pick(route.endpoint, "before", subject, request.body)
        if early is not None:
            self._log_fault(early, call, subject or None)
            if early.parsed.kind == "stall":
                return EmulatedResponse(200, stall=early.parsed.amount, unhandled=True)
            if early.parsed.kind not in {"truncate", "slow", "status"}:
                return self._replaced(early, call, EmulatedResponse(200))
        answer = self._admit(route, call) or self._answer(route, call)
        if early is not None:
            return self._replaced(early, call, answer)
        if self._script.rules:
            late = self._script.pick(route.endpoint, "after", answer.request_id or subject, request.body)
            if late is not None:
                self._log_fault(late, call, answer.request_id or subject or None)
                return self._replaced(late, call, answer)
        return answer

    def _answer(self, route: Route, call: Call) -> EmulatedResponse:
        answer = route.handle(self._service, call)
        if route.endpoint != "sync":
            return answer
        # The synchronous API says with every answer, not only with a 429, when its window ends.
        ends = reset_headers(
            call.now + WINDOW_SECONDS, call.now, self.settings.reset_format, retry_after=False
        )
        return dataclasses.replace(answer, headers={**answer.headers, **ends})

    def _admit(self, route: Route, call: Call) -> EmulatedResponse | None:
        """Return the refusal of a request that has no business here, or None."""
        if route.public:
            return None
        refusal = None
        keys = self.settings.api_keys
        if not call.key:
            bearer = call.request.headers.get("authorization")
            refusal = error_response(401, _WRONG_KEY if bearer else _MISSING_KEY)
        elif keys is not None and call.key not in keys:
            refusal = error_response(401, _WRONG_KEY)
        else:
            refusal = self._limit(call)
        if refusal is not None and call.endpoint in _SUBMITS:
            return self._service.refuse(call, refusal)
        return refusal

    def _limit(self, call: Call) -> EmulatedResponse | None:
        limit = self.settings.requests_per_minute
        if limit is None or (call.endpoint in _POLLS and not self.settings.polls_count):
            return None
        reset_at = self._limiter.admit(fingerprint(call.key), limit, call.now)
        if reset_at is None:
            return None
        self.ledger.count_rate_limited(call.endpoint)
        return error_response(429, "Rate limit exceeded", self._reset_headers(reset_at, call.now))

    def _reset_headers(self, reset_at: float, now: float) -> dict[str, str]:
        settings = self.settings
        return reset_headers(reset_at, now, settings.reset_format, retry_after=settings.retry_after)

    def _log_fault(self, rule: FaultRule, call: Call, request_id: str | None) -> None:
        event = FaultEvent(call.now, call.endpoint, rule.when, rule.action, request_id)
        self.ledger.count_fault(event)

    def _replaced(self, rule: FaultRule, call: Call, answer: EmulatedResponse) -> EmulatedResponse:
        action = rule.parsed
        kept = EmulatedResponse(200, request_id=answer.request_id, ready_at=answer.ready_at)
        match action.kind:
            case "code":
                return _instead(kept, self._coded(int(action.amount), rule, call))
            case "reset":
                return dataclasses.replace(answer, reset=True)
            case "stall":
                return dataclasses.replace(answer, stall=action.amount)
            case "truncate":
                return dataclasses.replace(answer, truncate=int(action.amount))
            case "slow":
                return dataclasses.replace(answer, slow=action.amount)
            case "garbage":
                kind = "video/mp4" if call.endpoint in _BINARY else JSON_TYPE
                return dataclasses.replace(kept, headers={"content-type": kind}, body=_GARBAGE)
            case "empty":
                return kept
            case "html":
                page = html_response(int(action.amount), f"{int(action.amount)} Proxy page")
                return _instead(kept, page)
            case "redirect":
                return dataclasses.replace(kept, status=302, headers={"location": action.argument})
            case "status":
                return _renamed(answer, action.argument)
            case "fail":
                if answer.request_id is not None:
                    self._service.fail(answer.request_id, action.argument)
                return answer

    def _coded(self, code: int, rule: FaultRule, call: Call) -> EmulatedResponse:
        headers: dict[str, str] = {}
        text = rule.parsed.argument
        if code == 429:
            # Compact form 429:<seconds>: when the limit is said to end.
            wait = float(text) if text.replace(".", "", 1).isdigit() else WINDOW_SECONDS
            headers, text = self._reset_headers(call.now + wait, call.now), ""
        if isinstance(rule.body, str):
            return EmulatedResponse(code, {"content-type": "text/plain", **headers}, rule.body.encode())
        if rule.body is not None:
            return json_response(code, rule.body, headers)
        if code == 405 and not text:
            return html_response(405, "405 Method Not Allowed")
        return error_response(code, text or _REASONS.get(code, f"Error {code}"), headers)


def _instead(kept: EmulatedResponse, new: EmulatedResponse) -> EmulatedResponse:
    return dataclasses.replace(kept, status=new.status, headers=new.headers, body=new.body)


def _renamed(answer: EmulatedResponse, word: str) -> EmulatedResponse:
    """Return a status body, or rows of past requests, that say ``word``; any other answer stays as it is."""
    if answer.file is not None:
        return answer
    try:
        body = json.loads(answer.body)
    except ValueError:
        return answer
    if not isinstance(body, dict):
        return answer
    rows = body.get("data")
    states = [
        (row, key)
        for row in (body, *(rows if isinstance(rows, list) else ()))
        for key in ("status", "model_status")
        if key in row
    ]
    if not states:
        return answer
    for row, key in states:
        row[key] = word
    return dataclasses.replace(answer, status=200, body=json.dumps(body).encode())
