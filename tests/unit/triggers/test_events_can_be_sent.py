"""Whatever the service says, Airflow's own encoder takes the event: one that it refuses ends a triggerer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk.execution_time.comms import _RequestFrame
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.durability.recovery import Fate, Verdict
from airflow_ltx.exceptions import SegmindError
from airflow_ltx.segmind.models import Metrics, Output, RequestResult, RequestStatus, State
from airflow_ltx.segmind.polling import End, Ending
from airflow_ltx.segmind.protocol import ApiResponse, read_result, read_status
from airflow_ltx.triggers import recovery
from airflow_ltx.triggers.event import RequestEvent

URL = "https://images.segmind.com/r1.mp4"
HALF = "\ud83d"

texts = st.text(st.characters(codec="utf-8") | st.characters(categories=["Cs"]), max_size=5)
numbers = (
    st.integers() | st.floats() | st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**90, 10**400, 2.0**64])
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts | numbers.map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def members(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={name: kind | values for name, kind in known.items()})


metrics = members(**dict.fromkeys(Metrics.__dataclass_fields__, numbers))
videos = members(
    url=texts.map(lambda text: URL + text), content_type=texts, file_name=texts, file_size=numbers
)
records = members(
    status=st.sampled_from(["COMPLETED", "FAILED"]),
    error=texts,
    seed=numbers,
    metrics=metrics,
    video=videos,
    output=videos | videos.map(json.dumps),
)


def sent(payload: dict[str, Any]) -> None:
    """As a triggerer sends it, and as databases keep it."""
    assert _RequestFrame(id=1, body={"events": [(1, payload)]}).as_bytes()
    assert "\\u0000" not in json.dumps(payload)


@given(record=records, status=st.sampled_from([200, 422, 500]))
def test_an_event_of_whatever_the_service_says_can_be_sent(record: dict[str, Any], status: int) -> None:
    answer = ApiResponse(status, {}, json.dumps(record).encode())
    try:
        seen = read_status(answer, "r1")
        end = End(Ending.COMPLETED, seen)
    except SegmindError as error:
        end = End(Ending.NOT_FOUND, error=error)
    try:
        result = read_result(answer, "r1")
    except SegmindError:
        result = None
    event = RequestEvent.of(end, "r1", "ltx-video", 1.0, now=2.0)
    sent(RequestEvent(**{**{n: getattr(event, n) for n in event.__slots__}, "result": result}).to_payload())


@given(text=texts, number=numbers)
def test_an_event_of_whatever_this_package_says_can_be_sent(text: str, number: float) -> None:
    status = RequestStatus("r1", State.FAILED, text, text, Metrics(cost=number))
    event = RequestEvent.of(End(Ending.FAILED, status), "r1", text, number, now=2.0)
    sent(event.to_payload())
    result = RequestResult("r1", (Output(URL, text, text, 2**70),), seed=2**70, metrics=Metrics(number))
    landed = ({"uri": text, "size": 2**70, "parts": (text, {1, 2}, b"x", object())},)
    sent(
        RequestEvent(
            "error", "r1", reason=text, landing_error=text, result=result, landed=landed
        ).to_payload()
    )


@pytest.mark.parametrize("fate", Fate)
def test_so_can_the_event_of_a_search(fate: Fate) -> None:
    payload = recovery.to_payload(Verdict(fate, request_id="r1", reason=f"the history says: {HALF}"))
    sent(payload)
    assert recovery.from_payload(payload).fate is fate


def test_what_can_be_sent_is_sent_as_it_is() -> None:
    record = {
        "status": "FAILED",
        "error": "zu groß \U0001f63f",
        "metrics": {"cost": 0.5, "retry_count": 2**64 - 1},
    }
    seen = read_status(ApiResponse(422, {}, json.dumps(record).encode()), "r1")
    payload = RequestEvent.of(End(Ending.FAILED, seen), "r1", None, None, now=2.0).to_payload()
    assert (payload["reason"], payload["metrics"]["retry_count"]) == ("zu groß \U0001f63f", 2**64 - 1)
