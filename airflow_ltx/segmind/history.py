"""The account's request history: what to ask, and rows read forgivingly, since none of their fields is sure.

A question that could not be answered is never taken for "no such request": nothing but rows that were read,
or a 404 of the service's own for one id, says anything about what the account has bought.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypedDict, TypeVar

from airflow_ltx.exceptions import (
    InvalidParameter,
    RequestNotFound,
    RequestRejected,
    SegmindError,
    UnreadableResponse,
)
from airflow_ltx.segmind.answers import flatten, text_of, unknown_id, unpaid_error
from airflow_ltx.segmind.coerce import Problem, check_slug, integer_between, one_of, shown
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.models import HistoryEntry, HistoryPage, State
from airflow_ltx.segmind.moments import moment_or_none
from airflow_ltx.segmind.numbers import number_or_none
from airflow_ltx.segmind.outputs import find_outputs
from airflow_ltx.segmind.plain import parsed
from airflow_ltx.segmind.protocol import (
    LONGEST_WORD,
    REQUEST_ID,
    ApiRequest,
    ApiResponse,
    bare_id,
    check_request_id,
)
from airflow_ltx.segmind.redact import quote_service

T = TypeVar("T")

STATUSES = ("COMPLETED", "FAILED", "PENDING")
MOST_DAYS = 31
MOST_PER_PAGE = 100
USUAL_DAYS = 7
"""Days before its end at which a window begins whose start nobody gave."""

_MOST_PAGES = 1_000_000
_MOST_ROWS = 10 * MOST_PER_PAGE
"""Rows of one answer. More are no page of what was asked for, and would be merged for minutes."""

_WHERE = "history_url"
# The service's documentation says "timestamps" and no more; its column for sorting is model_created.
_CREATED = ("created_at", "model_created", "created")
_UPDATED = ("updated_at", "model_updated", "updated")
_OUTPUTS = ("generation_url", "generation_urls", "output")
_LARGEST_AMOUNT = 1e12


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """A question that can be asked. ``parameters`` are those of the URL."""

    page: int
    per_page: int
    parameters: Mapping[str, object]


class HistoryFilters(TypedDict, total=False):
    """Which requests a page tells. All may be left out.

    ``model``: a part of a slug; other models whose slugs contain it are told, too. ``status``: COMPLETED,
    FAILED or PENDING. ``since`` and ``until``: days in UTC, both included and at most 31 in all; default: the
    week until ``until``, which is today. ``page`` counts from 1. ``per_page``: 1 to 100 rows, default 20; a
    request of several outputs has a row for each.
    """

    model: str | None
    status: str | None
    since: date | None
    until: date | None
    page: int
    per_page: int


def history_query(
    now: float,
    *,
    model: str | None = None,
    status: str | None = None,
    since: date | None = None,
    until: date | None = None,
    page: int = 1,
    per_page: int = 20,
) -> HistoryQuery:
    """Check a question, see :class:`HistoryFilters`.

    :param now: Epoch seconds: without ``until``, the window ends today.
    :raises InvalidParameter: Naming every argument at fault. Nothing was sent.
    """
    problems: list[str] = []

    def checked(check: Callable[..., T], *values: object) -> T | None:
        try:
            return check(*values)
        except Problem as problem:
            problems.append(str(problem))
            return None

    number = checked(integer_between(1, _MOST_PAGES), "page", page)
    rows = checked(integer_between(1, MOST_PER_PAGE), "per_page", per_page)
    word = checked(one_of(STATUSES), "status", status)
    today = datetime.fromtimestamp(now, UTC).date()
    window = checked(_window, since, until, today)
    if problems or number is None or rows is None or window is None:
        raise InvalidParameter(problems or ["page and per_page must be given"])
    filters = {"status": word, "model_name": None if model is None else check_slug(model)}
    asked: dict[str, object] = {"page": number, "per_page": rows, **window}
    return HistoryQuery(number, rows, asked | {k: v for k, v in filters.items() if v is not None})


def history_request(config: ClientConfig, query: HistoryQuery) -> ApiRequest:
    """A page of the request history; free of charge."""
    return ApiRequest("GET", config.history_page_url(query.parameters))


def history_entry_request(config: ClientConfig, request_id: str) -> ApiRequest:
    """One request by its id; free of charge."""
    return ApiRequest("GET", config.history_entry_url(check_request_id(request_id)))


def read_history(response: ApiResponse, query: HistoryQuery) -> HistoryPage:
    """A page of requests, one entry for each.

    :raises UnreadableResponse: The answer is no page, or rows are there and none of them names a request.
    :raises RequestRejected: The service refused the question itself.
    """
    body = response.json()
    rows = body.get("data") if isinstance(body, dict) else body
    if not 200 <= response.status < 300 or not isinstance(rows, list):
        raise _lookup_failed(response, "Reading the request history")
    if len(rows) > _MOST_ROWS:
        raise UnreadableResponse(
            f"The request history answered a question for {query.per_page} rows with {len(rows)}, which are "
            "not read. Reading is free of charge.",
            http_status=response.status,
        )
    entries: dict[str, HistoryEntry] = {}
    read = 0
    for row in rows:
        entry = _entry(row, response.secret)
        if entry is not None:
            known = entries.get(entry.request_id)
            entries[entry.request_id] = entry if known is None else _merged(known, entry)
            read += 1
    if rows and not read:
        raise _lookup_failed(response, "Reading the request history")
    return HistoryPage(
        tuple(entries.values()), query.page, query.per_page, rows=len(rows), skipped=len(rows) - read
    )


def read_history_entry(response: ApiResponse, request_id: str) -> HistoryEntry:
    """One request.

    :raises RequestNotFound: The service says that this account has no such request.
    :raises UnreadableResponse: The answer is no row, or another request's.
    """
    doing = f"Reading request {request_id} in the request history"
    body = response.json()
    if 200 <= response.status < 300:
        found = body.get("data", body) if isinstance(body, dict) else body
        entry = _joined(found if isinstance(found, list) else [found], request_id, response.secret)
        if entry is not None:
            return entry
    elif unknown_id(response):
        text = text_of(response)
        raise RequestNotFound(
            f"The request history has no request {request_id} (HTTP {response.status}"
            f"{': ' if text else ''}{text}). It tells requests of this key's own account alone, of any age: "
            "in a team, another member's is found with that member's key. A row may appear some seconds "
            "after its request. Reading is free of charge.",
            request_id=request_id,
            http_status=response.status,
        )
    raise _lookup_failed(response, doing, request_id)


def _lookup_failed(response: ApiResponse, doing: str, request_id: str | None = None) -> SegmindError:
    error = unpaid_error(response, doing=doing, request_id=request_id, where=_WHERE)
    if response.status in (400, 406, 422) and response.json_object() is not None:
        return RequestRejected(
            f"{doing} failed: the service refused the question ({error.said}). Reading is free of charge. "
            "The same question will be refused again.",
            request_id=request_id,
            http_status=response.status,
        )
    return error


def _window(since: object, until: object, today: date) -> dict[str, str]:
    first, last = _day("since", since), _day("until", until)
    end = last or today
    if first is None and last is not None:
        # The service would begin a week before today, whatever the end.
        first = last - timedelta(days=min(USUAL_DAYS, last.toordinal() - 1))
    # Today's date where the caller is may be that of tomorrow in UTC.
    if first is not None and first > (last or today + timedelta(days=1)):
        raise Problem(f"since is {first}; it must not be after until ({end})")
    if first is not None and (end - first).days >= MOST_DAYS:
        raise Problem(
            f"since is {first} and until {end}; a question spans at most {MOST_DAYS} days, both ends included"
        )
    return {
        name: day.isoformat() for name, day in (("from_date", first), ("to_date", last)) if day is not None
    }


def _day(name: str, value: object) -> date | None:
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(UTC)).date()
    if value is None or isinstance(value, date):
        return value
    raise Problem(f"{name} is {shown(value)}; it must be a datetime.date")


def _joined(rows: list[Any], request_id: str, secret: str | None) -> HistoryEntry | None:
    """The rows of one request as an entry; None if there are none, or any of them is of another request."""
    joined: HistoryEntry | None = None
    for row in rows:
        if not isinstance(row, Mapping) or not row:
            return None
        named = row.get("request_id")
        if named is not None and not _same(named, request_id):
            return None
        entry = _entry({**row, "request_id": request_id}, secret)
        # An id that we put there, and perhaps an error: that is no row, but some other answer.
        if entry is None or replace(entry, error=None) == HistoryEntry(request_id):
            return None
        joined = entry if joined is None else _merged(joined, entry)
    return joined


def _same(named: object, request_id: str) -> bool:
    return isinstance(named, str) and bare_id(named) == bare_id(request_id)


def _entry(row: object, secret: str | None) -> HistoryEntry | None:
    """A row; None if it names no request."""
    if not isinstance(row, Mapping):
        return None
    request_id = row.get("request_id")
    if not isinstance(request_id, str) or not REQUEST_ID.fullmatch(request_id):
        return None
    word = row.get("model_status")
    word = quote_service(word, secret)[:LONGEST_WORD] if isinstance(word, str) else ""
    model = row.get("model_name")
    latency = _amount(row.get("latency_ms"))
    return HistoryEntry(
        request_id=request_id,
        model=model if isinstance(model, str) and model else None,
        state=State.PROCESSING if word.upper() == "PENDING" else State.read(word),
        word=word,
        cost=_amount(row.get("credits_deduction")),
        parameters=_parameters(row.get("request_body")),
        outputs=find_outputs(*(row.get(name) for name in _OUTPUTS)),
        latency=None if latency is None else latency / 1000,
        created_at=_first_moment(row, _CREATED),
        updated_at=_first_moment(row, _UPDATED),
        error=quote_service(flatten(row.get("error")), secret) or None,
    )


def _amount(value: object) -> float | None:
    number = number_or_none(value)
    return float(number) if number is not None and 0 <= number <= _LARGEST_AMOUNT else None


def _parameters(value: object) -> Mapping[str, Any] | None:
    if isinstance(value, str):
        value = parsed(value)
    return value if isinstance(value, Mapping) else None


def _first_moment(row: Mapping[str, Any], names: Iterable[str]) -> float | None:
    return next((m for name in names if (m := moment_or_none(row.get(name))) is not None), None)


def _merged(one: HistoryEntry, other: HistoryEntry) -> HistoryEntry:
    """Two rows of one request: what either tells. Each carries the cost of the whole request."""
    ahead, behind = (other, one) if _certainty(other) > _certainty(one) else (one, other)
    told = {
        name: getattr(behind if getattr(ahead, name) is None else ahead, name)
        for name in HistoryEntry.__dataclass_fields__
    }
    told["outputs"] = tuple({o.url: o for o in (*one.outputs, *other.outputs)}.values())
    told["updated_at"] = max((m for m in (one.updated_at, other.updated_at) if m is not None), default=None)
    return HistoryEntry(**told)


def _certainty(entry: HistoryEntry) -> int:
    if entry.state.finished:
        return 3 if entry.state is State.COMPLETED else 2
    return 1 if entry.word else 0
