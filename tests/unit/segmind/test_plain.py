"""JSON of others, as values that can be written again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.exceptions import RequestFailed
from airflow_ltx.segmind.numbers import integer_or_none, number_or_none
from airflow_ltx.segmind.outputs import find_outputs
from airflow_ltx.segmind.plain import parsed
from airflow_ltx.segmind.protocol import read_result, read_submit
from tests.unit.segmind.support import REQUEST_ID, response

URL = "https://images.segmind.com/a.mp4"
HALF = "\ud83d"


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_that_can_be_written_is_read_as_ever(value: Any) -> None:
    written = json.dumps(value)
    if "\\u0000" not in written:
        assert parsed(written.encode()) == parsed(json.dumps(value, ensure_ascii=False)) == value


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (rb'{"\ud83d": ["a \ude00 b", {"c": "\u0000"}]}', {"\ufffd": ["a \ufffd b", {"c": "\ufffd"}]}),
        (rb'"\ud83d\ude00 \\ud83d"', "\U0001f600 \\ud83d"),
        (b'"\xed\xa0\xbd"', "\ufffd\ufffd\ufffd"),
        (b'{"a": NaN, "b": -Infinity, "c": 1e999, "d": 1}', {"a": None, "b": None, "c": None, "d": 1}),
        (b'{"a": 1%s, "b": 2}' % (b"0" * 5000), {"a": None, "b": 2}),
        (b"1%s" % (b"0" * 90), 10**90),
        ('{"a": 1}'.encode("utf-8-sig"), {"a": 1}),
        ('{"a": 1}'.encode("utf-16"), {"a": 1}),
    ],
)
def test_what_cannot_be_written_is_replaced(body: bytes, value: Any) -> None:
    assert parsed(body) == value


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": ', b"[" * 100_000, b"\xff\xfe\x00", b'{"a":1} x'])
def test_what_is_no_json_is_none(body: bytes) -> None:
    assert parsed(body) is None


def test_json_within_json_is_read_alike() -> None:
    (output,) = find_outputs(json.dumps({"url": URL, "file_name": HALF, "file_size": 2**64}))
    assert (output.file_name, output.file_size) == ("\ufffd", None)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**400, 1e30, "1" + "0" * 23, f"{2**64}.0"])
def test_a_whole_number_beyond_64_bits_is_none(value: Any) -> None:
    assert integer_or_none(value) is None


@pytest.mark.parametrize("value", [2**64 - 1, -(2**63), str(2**64 - 1)])
def test_one_of_64_bits_is_exact(value: Any) -> None:
    assert integer_or_none(value) == number_or_none(value) == int(value)


def test_a_cost_without_bounds_is_no_cost() -> None:
    body = b'{"status": "FAILED", "metrics": {"cost": 1%s}}' % (b"0" * 400)
    with pytest.raises(RequestFailed, match="not billed") as caught:
        read_result(response(422, body), REQUEST_ID)
    assert caught.value.cost is None


def test_a_receipt_is_read_whatever_stands_beside_its_id() -> None:
    body = b'{"request_id": "%s", "eta": 1%s, "note": "\xff"}' % (REQUEST_ID.encode(), b"0" * 5000)
    assert read_submit(response(200, body), "ltx-video", sent_at=0.0).request_id == REQUEST_ID
