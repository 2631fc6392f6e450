from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_ltx.segmind.waits import LONGEST_WAIT, retry_after

NOW = 1_790_000_000.0
THEN = datetime.fromtimestamp(NOW + 42, UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "17"}, 17),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": format_datetime(THEN, usegmt=True)}, 42),
        ({"retry-after": str(LONGEST_WAIT)}, LONGEST_WAIT),
        ({"retry-after": "3601"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"x-rate-limit-reset-at-utc": THEN.isoformat()}, 42),
        ({"x-rate-limit-reset-at-utc": THEN.isoformat().replace("+00:00", "Z")}, 42),
        ({"x-rate-limit-reset-at-utc": THEN.replace(tzinfo=None).isoformat(" ")}, 42),
        (
            {
                "x-rate-limit-reset-at-utc": THEN.astimezone(
                    timezone(timedelta(hours=5, minutes=30))
                ).isoformat()
            },
            42,
        ),
        ({"x-rate-limit-reset-at-utc": str(NOW + 42)}, 42),
        ({"x-rate-limit-reset-at-utc": str(int((NOW + 42) * 1000))}, 42),
        ({"x-rate-limit-reset-at-utc": format_datetime(THEN, usegmt=True)}, 42),
        ({"x-rate-limit-reset-at-utc": f"  {THEN.isoformat()} "}, 42),
        ({"x-rate-limit-reset-at-utc": str(NOW - 10)}, 0),
        ({"x-rate-limit-reset-at-utc": str(NOW - 4000)}, None),
        ({"x-rate-limit-reset-at-utc": "2999-01-01T00:00:00Z"}, None),
        ({"x-rate-limit-reset-at-utc": "0001-01-01"}, None),
        ({"x-rate-limit-reset-at-utc": "tomorrow"}, None),
        ({"x-rate-limit-reset-at-utc": "30"}, None),
        ({"retry-after": "17", "x-rate-limit-reset-at-utc": str(NOW + 42)}, 17),
        ({"retry-after": "soon", "x-rate-limit-reset-at-utc": str(NOW + 42)}, 42),
    ],
)
def test_the_wait_is_read_from_what_the_headers_hold(headers: dict[str, str], seconds: float | None) -> None:
    got = retry_after(headers, now=NOW)
    assert got == (seconds if seconds is None else pytest.approx(seconds, abs=0.01))


dates = st.datetimes().map(str) | st.datetimes(timezones=st.timezones()).map(format_datetime)
number_texts = st.floats().map(str) | st.integers().map(str)
years = st.integers(min_value=0, max_value=10**30).map(lambda year: f"Mon, 1 Jan {year} 00:00:00 GMT")


@given(
    name=st.sampled_from(["retry-after", "x-rate-limit-reset-at-utc"]),
    text=st.text() | dates | number_texts | years,
)
@example(name="retry-after", text="Mon, 1 Jan 99999999999999999999 00:00:00 GMT")
@example(name="x-rate-limit-reset-at-utc", text="0001-01-01T00:00:00+23:59")
@example(name="x-rate-limit-reset-at-utc", text="Mon, 1 Jan 2026 00:00:00 +99999999999999999999")
def test_any_header_is_a_bounded_wait_or_none(name: str, text: str) -> None:
    got = retry_after({name: text}, now=NOW)
    assert got is None or 0 <= got <= LONGEST_WAIT


def test_the_clock_of_the_machine_is_used_where_none_is_given() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=100)
    got = retry_after({"x-rate-limit-reset-at-utc": soon.isoformat()})
    assert got is not None
    assert 90 < got <= 100
