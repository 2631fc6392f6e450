"""The account's book of past requests: which rows a question selects, in which order, and what they say.

Nothing is built when a request changes. A question looks at the requests of its window, and only the rows of
the page that it asks for become values.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, get_args

from airflow_ltx.emulator.jobs import Job

HistoryStatus = Literal["COMPLETED", "FAILED", "PENDING"]
SortBy = Literal["model_created", "model_name", "credits_deduction"]

DEFAULT_PER_PAGE = 20
MOST_PER_PAGE = 100
MOST_DAYS = 31
_USUAL_DAYS = 7
_LATEST_PAGE = 10**9
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# A week before it still is a day of the epoch.
_FIRST_DAY = date(1970, 1, 1) + timedelta(days=_USUAL_DAYS)


@dataclass(frozen=True, slots=True)
class Row:
    """One output of a request, counted from 0; while it has none, the request itself."""

    job: Job
    index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a caller asks for.

    :param since: Seconds since the epoch, included; ``until`` is not.
    :param model: A part of the slug, or with ``whole_model`` all of it; empty is any.
    """

    since: float = 0.0
    until: float = float("inf")
    page: int = 1
    per_page: int = DEFAULT_PER_PAGE
    model: str = ""
    whole_model: bool = False
    status: HistoryStatus | None = None
    sort_by: SortBy = "model_created"
    ascending: bool = False

    @classmethod
    def of_history(cls, query: Mapping[str, str], now: float) -> Question:
        """Read the parameters of the request history; ``ValueError`` says which one is wrong."""
        today = datetime.fromtimestamp(now, UTC).date()
        last = _date(query, "to_date") or today
        first = _date(query, "from_date") or last - timedelta(days=_USUAL_DAYS)
        if first > last:
            raise ValueError("from_date must not be after to_date")
        # Both days belong to the window.
        if (last - first).days >= MOST_DAYS:
            raise ValueError(f"The date range must not exceed {MOST_DAYS} days")
        return cls(
            since=_midnight(first),
            until=_midnight(last) + 86400.0,
            page=_whole(query, "page", 1, _LATEST_PAGE),
            per_page=_whole(query, "per_page", DEFAULT_PER_PAGE, MOST_PER_PAGE),
            model=query.get("model_name", ""),
            status=_choice(query, "status", get_args(HistoryStatus), None),
            sort_by=_choice(query, "sort_by", get_args(SortBy), "model_created"),
            ascending=_choice(query, "sort_order", ("asc", "desc"), "desc") == "asc",
        )

    @classmethod
    def of_generations(cls, query: Mapping[str, str]) -> Question:
        """Read the parameters of the list of outputs; ``ValueError`` says which one is wrong."""
        first, last = _date(query, "start_date"), _date(query, "end_date")
        if first and last and first > last:
            raise ValueError("start_date must not be after end_date")
        return cls(
            since=_midnight(first) if first else 0.0,
            until=_midnight(last) + 86400.0 if last else float("inf"),
            page=_whole(query, "page", 1, _LATEST_PAGE),
            model=query.get("model_name", ""),
            whole_model=True,
            status="COMPLETED",
        )

    @classmethod
    def of_recent(cls, query: Mapping[str, str]) -> Question:
        """Read the parameter of a model's latest outputs; ``ValueError`` if it is missing."""
        model = query.get("model_name")
        if not model:
            raise ValueError("model_name is required")
        return cls(model=model, whole_model=True, status="COMPLETED")

    def fits(self, job: Job, now: float) -> bool:
        """Whether the rows of ``job`` answer this, the window aside."""
        if self.model and (job.model != self.model if self.whole_model else self.model not in job.model):
            return False
        return self.status is None or self.status == status_word(job, now)


@dataclass(slots=True)
class _Shelf:
    """One workspace's requests and the times of their submits, both oldest first."""

    jobs: list[Job] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


class History:
    """Every accepted request, by workspace. It forgets nothing."""

    def __init__(self) -> None:
        self._shelves: dict[str, _Shelf] = {}

    def add(self, job: Job) -> None:
        """Enter a request; the clock does not run backwards, so it is the latest one."""
        shelf = self._shelves.setdefault(job.workspace, _Shelf())
        shelf.jobs.append(job)
        shelf.times.append(job.submitted_at)

    def rows(self, workspace: str, question: Question, now: float, lag: float) -> list[Row]:
        """Return all rows that answer ``question``, in its order; requests younger than ``lag`` have none.

        The order is total: rows that tie are newest first, and the outputs of one request stay together.
        """
        shelf = self._shelves.get(workspace, _Shelf())
        begin, end = bisect_left(shelf.times, question.since), bisect_left(shelf.times, question.until)
        jobs = [
            job
            for job in reversed(shelf.jobs[begin:end])
            if now >= job.submitted_at + lag and question.fits(job, now)
        ]
        match question.sort_by:
            case "model_name":
                jobs.sort(key=lambda job: job.model, reverse=not question.ascending)
            case "credits_deduction":
                jobs.sort(key=lambda job: cost(job, now) or 0, reverse=not question.ascending)
            case "model_created" if question.ascending:
                jobs.reverse()
        return list(_outputs(jobs, now))


def page_of(rows: list[Row], question: Question) -> list[Row]:
    """Return the rows of the page that was asked for; a page past the end has none."""
    start = (question.page - 1) * question.per_page
    return rows[start : start + question.per_page]


def status_word(job: Job, now: float) -> HistoryStatus:
    """Return the history's word for the state of ``job``: what has not ended is PENDING."""
    status = job.status(now)
    return status if status in ("COMPLETED", "FAILED") else "PENDING"


def cost(job: Job, now: float) -> int | None:
    """Return what was deducted, in millionths of a credit; None while the request has not ended."""
    match status_word(job, now):
        case "COMPLETED":
            return job.price
        case "FAILED":
            return 0
        case _:
            return None


def _outputs(jobs: Iterable[Job], now: float) -> Iterable[Row]:
    for job in jobs:
        yield Row(job)
        if len(job.videos) > 1 and job.status(now) == "COMPLETED":
            yield from (Row(job, index) for index in range(1, len(job.videos)))


def _date(query: Mapping[str, str], name: str) -> date | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else date.min
    except ValueError:
        day = date.min
    if day < _FIRST_DAY:
        raise ValueError(f"{name} must be a date in the form YYYY-MM-DD")
    return day


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def _whole(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) <= most):
        limits = f"at least 1 and at most {most}" if most < _LATEST_PAGE else "at least 1"
        raise ValueError(f"{name} must be a whole number, {limits}")
    return int(text)


def _choice(query: Mapping[str, str], name: str, allowed: tuple[Any, ...], default: Any) -> Any:
    value = query.get(name, default)
    if value is not default and value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}")
    return value
