"""Requests per minute over a sliding window, and the header that says when the next one is welcome."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from email.utils import format_datetime
from math import ceil
from typing import Literal

WINDOW_SECONDS = 60.0
RESET_HEADER = "x-rate-limit-reset-at-utc"

ResetFormat = Literal["iso", "epoch_s", "epoch_ms", "http_date", "none"]


class RateLimiter:
    """A window per key. Refused requests do not count."""

    def __init__(self) -> None:
        self._windows: dict[str, deque[float]] = {}

    def admit(self, key: str, limit: int, now: float) -> float | None:
        """Count a request at ``now``; return None, or the time at which it would be admitted."""
        window = self._windows.setdefault(key, deque())
        while window and window[0] <= now - WINDOW_SECONDS:
            window.popleft()
        if len(window) >= limit:
            return window[len(window) - limit] + WINDOW_SECONDS
        window.append(now)
        return None


def reset_headers(reset_at: float, now: float, form: ResetFormat, *, retry_after: bool) -> dict[str, str]:
    """Return the headers of a 429. Times in seconds since the epoch; whole seconds are rounded up."""
    headers = {"retry-after": str(max(0, ceil(reset_at - now)))} if retry_after else {}
    match form:
        case "iso":
            moment = datetime.fromtimestamp(reset_at, UTC)
            headers[RESET_HEADER] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case "epoch_s":
            headers[RESET_HEADER] = str(ceil(reset_at))
        case "epoch_ms":
            headers[RESET_HEADER] = str(ceil(reset_at * 1000))
        case "http_date":
            headers[RESET_HEADER] = format_datetime(datetime.fromtimestamp(ceil(reset_at), UTC), usegmt=True)
        case "none":
            pass
    return headers
