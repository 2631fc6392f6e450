"""Points in time out of what services write: ISO 8601, epoch seconds or milliseconds, HTTP dates."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from airflow_ltx.segmind.numbers import number_or_none

# No service clock is before 1973 in milliseconds or after 5138 in seconds.
_MILLISECONDS = 1e11
_LAST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


def moment_or_none(value: object) -> float | None:
    """Epoch seconds, after 1970 and before the year 9999; None for all else.

    A text without a zone is taken for UTC.
    """
    number = number_or_none(value)
    seconds: float | None
    if number is not None:
        seconds = None if number > _LAST * 1000 else number / 1000 if number > _MILLISECONDS else number
    else:
        seconds = _written(value.strip()) if isinstance(value, str) else None
    return float(seconds) if seconds is not None and 0 < seconds <= _LAST else None


def _written(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.timestamp()
    except OverflowError:
        return None


def utc_text(moment: float) -> str:
    """Epoch seconds for people, to the second."""
    return f"{datetime.fromtimestamp(min(max(moment, 0.0), _LAST), UTC):%Y-%m-%d %H:%M:%S} UTC"
