"""Requests per minute over a sliding window, and the header that says when the next one is welcome."""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import Literal

from airflow_ltx.emulator.moments import MomentFormat, written

WINDOW_SECONDS = 60.0
RESET_HEADER = "x-rate-limit-reset-at-utc"

ResetFormat = Literal[MomentFormat, "none"]


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
    """Return the headers that tell when a limit ends. Times in seconds since the epoch."""
    headers = {"retry-after": str(max(0, ceil(reset_at - now)))} if retry_after else {}
    if form != "none":
        headers[RESET_HEADER] = written(reset_at, form)
    return headers
