from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.segmind.moments import moment_or_none

THEN = datetime(2026, 8, 2, 10, 30, 15, 250_000, tzinfo=UTC)
EPOCH = THEN.timestamp()


@pytest.mark.parametrize(
    "written",
    [
        "2026-08-02T10:30:15.250Z",
        "2026-08-02T10:30:15.250000",
        "2026-08-02 10:30:15.25",
        " 2026-08-02T10:30:15.250+00:00\n",
        "2026-08-02 10:30:15.25+00",
        THEN.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(),
        THEN.astimezone(timezone(timedelta(hours=-8))).isoformat(),
        EPOCH,
        EPOCH * 1000,
        int(EPOCH * 1000),
        str(EPOCH),
        str(int(EPOCH * 1000)),
    ],
)
def test_the_same_moment_in_every_notation(written: Any) -> None:
    assert moment_or_none(written) == pytest.approx(EPOCH, abs=0.001)


def test_an_http_date_and_a_day_alone_are_moments_too() -> None:
    assert moment_or_none("Sun, 02 Aug 2026 10:30:15 GMT") == math.floor(EPOCH)
    assert moment_or_none("2026-08-02") == datetime(2026, 8, 2, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "written",
    [
        None, True, "", " ", "soon", "2026-13-01", [], {}, 0, "0", -5, "0001-01-01",
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", 10**400, "9" * 400, float("nan"),
        float("inf"), "nan", "x" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_moment_is_none(written: Any) -> None:
    assert moment_or_none(written) is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(anything)
def test_a_moment_can_always_be_shown_as_a_date(value: Any) -> None:
    moment = moment_or_none(value)
    assert moment is None or datetime.fromtimestamp(moment, UTC).year < 10_000


@given(st.datetimes(min_value=datetime(1975, 1, 1), max_value=datetime(2900, 1, 1)))
def test_a_written_moment_is_read_to_the_microsecond(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    assert moment_or_none(moment.isoformat()) == moment_or_none(aware.isoformat()) == aware.timestamp()
