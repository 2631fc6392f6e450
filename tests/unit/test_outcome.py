from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_ltx.landing.land import Landed
from airflow_ltx.outcome import Outcome, merge
from airflow_ltx.segmind.models import Metrics, Output, RequestResult, State, SubmittedRequest

REQUEST = SubmittedRequest("the-id", "ltx-video", 1_800_000_000.25)
MAIN = Output("https://h/a.mp4", "video/mp4", "a.mp4", 123)
OTHER = Output("https://h/b.png")
LANDED = Landed("file:///data/the-id.mp4", 456, "ab" * 32, "video/webm")
KEYS = [
    "request_id", "model", "status", "output_url", "outputs", "uri", "bytes", "sha256", "content_type",
    "seed", "cost", "queue_time", "inference_time", "submitted_at", "completed_at", "expires_at", "reused",
]  # fmt: skip


def outcome(**changed: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "request": REQUEST,
        "result": RequestResult("the-id", (MAIN, OTHER), seed=7, metrics=Metrics(cost=0.05)),
        "metrics": Metrics(cost=9.0, queue_time=1.5),
        "completed_at": 1_800_000_060.0,
        "landed": LANDED,
        "reused": True,
        "sent_seed": 5,
    }
    arguments |= changed
    landed = arguments.pop("landed")
    return Outcome.of(**arguments).with_files((landed,) if landed else ()).to_xcom()


def test_everything_that_is_known_is_returned() -> None:
    assert outcome() == {
        "request_id": "the-id",
        "model": "ltx-video",
        "status": "COMPLETED",
        "output_url": MAIN.url,
        "outputs": [MAIN.url, OTHER.url],
        "uri": LANDED.uri,
        "bytes": 456,
        "sha256": LANDED.sha256,
        "content_type": "video/webm",
        "seed": 7,
        "cost": 0.05,
        "queue_time": 1.5,
        "inference_time": None,
        "submitted_at": "2027-01-15T08:00:00.250+00:00",
        "completed_at": "2027-01-15T08:01:00.000+00:00",
        "expires_at": "2027-01-15T09:00:00.250+00:00",
        "reused": True,
    }


def test_the_keys_are_the_same_whatever_is_known() -> None:
    bare = Outcome(REQUEST, State.QUEUED).to_xcom()
    assert list(bare) == list(outcome()) == KEYS
    assert [key for key in KEYS if bare[key] is not None] == [
        "request_id", "model", "status", "outputs", "submitted_at", "expires_at", "reused",
    ]  # fmt: skip
    assert json.loads(json.dumps(bare)) == bare


def test_a_file_that_was_not_landed_is_described_by_the_record() -> None:
    got = outcome(landed=None)
    assert (got["uri"], got["sha256"], got["bytes"], got["content_type"]) == (None, None, 123, "video/mp4")


@pytest.mark.parametrize(
    ("told", "sent", "seed"),
    [(7, 5, 7), (0, 5, 0), (None, 5, 5), (None, None, None), (None, "5", None), (None, -1, None)],
)
def test_the_seed_is_what_the_service_says_or_else_the_one_sent(
    told: int | None, sent: Any, seed: int | None
) -> None:
    """-1 asks the service to draw one: it is not the seed of the video."""
    assert outcome(result=RequestResult("the-id", (MAIN,), seed=told), sent_seed=sent)["seed"] == seed


def test_numbers_of_the_result_win_even_if_they_are_nought() -> None:
    first, second = Metrics(cost=0.0, queue_time=None), Metrics(cost=1.0, queue_time=2.0)
    assert merge(first, second) == Metrics(cost=0.0, queue_time=2.0)
