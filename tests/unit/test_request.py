"""What a task may be given as a request."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.exceptions import InvalidParameter
from airflow_ltx.request import GivenRequest

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def test_an_id_is_all_that_is_needed():
    assert GivenRequest.read(" abc-1 ") == GivenRequest("abc-1")


def test_the_return_value_of_a_submit_tells_more():
    told = {"request_id": "abc", "model": "ltx-video", "submitted_at": MOMENT.isoformat(), "cost": None}
    assert GivenRequest.read(told) == GivenRequest("abc", "ltx-video", MOMENT.timestamp())


@pytest.mark.parametrize(
    ("moment", "read"),
    [
        (MOMENT.timestamp(), MOMENT.timestamp()),
        ("2026-01-02T03:04:05.678", MOMENT.timestamp()),
        ("2026-01-02T04:04:05.678+01:00", MOMENT.timestamp()),
        ("yesterday", None),
        (None, None),
        (True, None),
        ([], None),
    ],
)
def test_the_time_of_the_submit_is_read_if_it_can_be(moment, read):
    assert GivenRequest.read({"request_id": "abc", "submitted_at": moment}).submitted_at == read


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.text() | st.sampled_from(["request_id", "model", "submitted_at"]), inner)
        ),
    )
)
def test_nothing_but_a_plain_id_comes_out(value):
    with contextlib.suppress(InvalidParameter):
        read = GivenRequest.read(value)
        assert read.request_id
        assert "/" not in read.request_id
