"""How long the service asks a client to wait, read from the headers of a 429."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 3600.0
"""Seconds. What asks for more is taken for a broken clock, not for a wish."""


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Seconds to wait, from ``retry-after`` or ``x-rate-limit-reset-at-utc``; None if neither is sensible.

    The format of the latter is not documented: ISO 8601, epoch seconds, epoch milliseconds and HTTP dates are
    understood. Never negative, never above :data:`LONGEST_WAIT`.
    """
    at = time.time() if now is None else now
    seconds = _seconds(headers.get("retry-after"), at)
    if seconds is None:
        moment = _moment(headers.get("x-rate-limit-reset-at-utc"))
        seconds = None if moment is None else moment - at
    if seconds is None or seconds > LONGEST_WAIT or seconds < -LONGEST_WAIT:
        return None
    return max(0.0, seconds)


def _seconds(text: str | None, now: float) -> float | None:
    if not text:
        return None
    number = _number(text)
    if number is not None:
        return number
    moment = _moment(text)
    return None if moment is None else moment - now


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number == number and abs(number) != float("inf") else None


def _moment(text: str | None) -> float | None:
    """A point in time as epoch seconds."""
    if not text:
        return None
    number = _number(text)
    if number is not None:
        # No service clock is before 2001 in milliseconds or after 5138 in seconds.
        return number / 1000 if number > 1e11 else number
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            moment = parsedate_to_datetime(text.strip())
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.timestamp()
    except OverflowError:
        return None
