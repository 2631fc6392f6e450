"""The wire format between triggerer and worker."""

from __future__ import annotations

import json

import pytest

from airflow_ltx.exceptions import SegmindError
from airflow_ltx.segmind.models import Metrics, Output, RequestResult
from airflow_ltx.triggers.event import STATUSES, RequestEvent

RESULT = RequestResult(
    request_id="r1",
    outputs=(Output("https://images.segmind.com/r1.mp4", "video/mp4", "r1.mp4", 1234),),
    seed=7,
    metrics=Metrics(cost=0.05, total_time=13.4),
)
EVENT = RequestEvent(
    status="completed",
    request_id="r1",
    model="ltx-video",
    submitted_at=1000.5,
    completed_at=1013.9,
    metrics=Metrics(cost=0.05),
    result=RESULT,
    fingerprint="f1",
    seed=7,
)


def test_it_survives_json():
    assert RequestEvent.from_payload(json.loads(json.dumps(EVENT.to_payload()))) == EVENT


def test_a_signed_url_is_not_sent():
    signed = RequestResult("r1", (Output("https://bucket.example/r1.mp4?X-Amz-Signature=abc"),))
    event = RequestEvent(status="completed", request_id="r1", result=signed)
    assert "abc" not in json.dumps(event.to_payload())
    assert RequestEvent.from_payload(event.to_payload()).result is None


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_every_status_is_understood(status):
    assert RequestEvent.from_payload({"status": status, "request_id": "r1"}).status == status


@pytest.mark.parametrize(
    "payload",
    [
        None,
        "completed",
        {},
        {"status": "succeeded", "request_id": "r1"},
        {"status": None, "request_id": "r1"},
        {"status": "completed"},
        {"status": "completed", "request_id": ""},
        {"status": ["completed"], "request_id": "r1"},
    ],
)
def test_anything_else_is_refused(payload):
    with pytest.raises(SegmindError):
        RequestEvent.from_payload(payload)


def test_an_event_of_the_first_version_is_understood():
    first = {
        "version": 1,
        "status": "completed",
        "request_id": "r1",
        "model": "ltx-video",
        "submitted_at": 1.0,
        "completed_at": 2.0,
        "reason": None,
        "last_word": "COMPLETED",
        "metrics": {
            "cost": 0.05,
            "remaining_credits": None,
            "queue_time": None,
            "inference_time": None,
            "total_time": None,
            "retry_count": None,
        },
        "result": {
            "request_id": "r1",
            "outputs": [
                {"url": "https://h/x.mp4", "content_type": "video/mp4", "file_name": None, "file_size": None}
            ],
            "seed": None,
            "metrics": {"cost": 0.05},
        },
    }
    event = RequestEvent.from_payload(first)
    assert event.result is not None
    assert event.result.outputs[0].url == "https://h/x.mp4"


def test_keys_of_a_later_version_are_ignored():
    later = EVENT.to_payload()
    later["surprise"] = later["metrics"]["surprise"] = later["result"]["surprise"] = 1
    later["result"]["outputs"][0]["surprise"] = 1
    assert RequestEvent.from_payload(later) == EVENT
