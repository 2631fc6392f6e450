"""Points in time, in every notation that a service has been seen to use for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from math import ceil
from typing import Literal

IsoFormat = Literal["iso", "iso_offset", "iso_naive"]
MomentFormat = Literal[IsoFormat, "epoch_s", "epoch_ms", "http_date"]

# Not UTC on purpose: a reader who drops the offset is hours off, not right by luck.
_ELSEWHERE = timezone(timedelta(hours=5, minutes=30))


def written(moment: float, form: MomentFormat, *, timespec: str = "milliseconds") -> str:
    """Return ``moment`` (seconds since the epoch) as text; whole seconds and milliseconds are rounded up.

    ``iso`` ends in Z, ``iso_offset`` in +05:30, and ``iso_naive`` is UTC without saying so. ``timespec`` is
    the precision of those three.
    """
    match form:
        case "iso":
            return f"{_naive(moment, timespec)}Z"
        case "iso_offset":
            return datetime.fromtimestamp(moment, _ELSEWHERE).isoformat(timespec=timespec)
        case "iso_naive":
            return _naive(moment, timespec)
        case "epoch_s":
            return str(ceil(moment))
        case "epoch_ms":
            return str(ceil(moment * 1000))
        case "http_date":
            return format_datetime(datetime.fromtimestamp(ceil(moment), UTC), usegmt=True)


def _naive(moment: float, timespec: str) -> str:
    return datetime.fromtimestamp(moment, UTC).replace(tzinfo=None).isoformat(timespec=timespec)
