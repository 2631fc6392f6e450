"""Transfers into real object storage: landed by whoever is nearer, and not copied twice."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import httpx
import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.landing import filesystems
from airflow_ltx.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator
from runner import TaskRun

NOBODY_GIVES_FILES = "download:before:404*inf"


@pytest.fixture(autouse=True)
def _own_connections(monkeypatch, segmind):
    """Each test has servers of its own under the same connection id, and no event is held back."""
    monkeypatch.setattr(filesystems, "_entries", {})
    monkeypatch.setattr("airflow_ltx.triggers.early_event.LEAST_HOLD", 0.0)
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "-3")


def transfer(store, name: str = "v/", **arguments: Any) -> TaskRun:
    destination = f"{store.scheme}://store@{store.bucket}/{name}"
    given = {"task_id": "copy", "destination": destination, "poll_interval": 0.05, "timeout": 20, **arguments}
    return TaskRun(lambda: SegmindToObjectStorageOperator(**given))


def submit() -> str:
    return SegmindHook().submit("ltx-video", {"prompt": "A harbour at dawn"}).request_id


def test_a_running_request_is_landed_by_the_triggerer_and_not_copied_again(store, segmind):
    segmind.configure(inference_seconds=600)
    request_id = submit()
    run = transfer(store, request_id=request_id)

    def completed_since(deferral):
        segmind.advance(600)
        return {"event": asyncio.run(run.fire(deferral))}

    result = run.try_with(completed_since)
    (event,) = run.events
    assert [each["uri"] for each in event["landed"]] == [result["uri"]]
    name = f"v/{request_id}.mp4"
    assert store.names() == [name]
    assert store.read(name) == httpx.get(result["output_url"]).content
    assert request_id in store.facts(name).metadata.values()
    assert (result["uri"], result["reused"]) == (f"{store.scheme}://{store.bucket}/{name}", False)

    segmind.add_faults(NOBODY_GIVES_FILES)
    again = transfer(store, request_id=request_id).try_once()
    assert again["reused"] is True
    for key in ("uri", "bytes", "sha256", "content_type", "output_url", "cost"):
        assert again[key] == result[key], key


def test_what_is_not_the_requests_own_file_is_not_taken_for_it(store, segmind):
    request_id = submit()
    segmind.advance(60)
    store.put(f"v/{request_id}.mp4", b"without a mark")
    result = transfer(store, request_id=request_id).try_once()
    content = store.read(f"v/{request_id}.mp4")
    assert hashlib.sha256(content).hexdigest() == result["sha256"]
    assert (len(content), result["reused"]) == (result["bytes"], False)


@pytest.mark.parametrize("store", ["ministack"], indirect=True)
def test_a_urls_own_file_is_known_by_its_bytes_also_where_no_other_may_be(store, segmind):
    first, second = submit(), submit()
    segmind.advance(60)
    urls = [SegmindHook().result(each).outputs[0].url for each in (first, second)]
    there = transfer(store, "clip.mp4", url=urls[0], if_exists="error").try_once()
    assert transfer(store, "clip.mp4", url=urls[0], if_exists="error").try_once() == there
    for other in ({"url": urls[1]}, {"request_id": first}):
        with pytest.raises(AirflowFailException, match="is there already"):
            transfer(store, "clip.mp4", **other, if_exists="error").try_once()


def test_a_url_is_compared_by_its_bytes_and_gets_no_mark(store, segmind):
    first, second = submit(), submit()
    segmind.advance(60)
    url, other = (SegmindHook().result(each).outputs[0].url for each in (first, second))
    marked = transfer(store, "clip.mp4", request_id=first).try_once()
    same = transfer(store, "clip.mp4", url=url).try_once()
    assert (same["uri"], same["sha256"], same["request_id"]) == (marked["uri"], marked["sha256"], None)
    assert first in store.facts("clip.mp4").metadata.values()
    with pytest.raises(AirflowFailException, match="is there already"):
        transfer(store, "clip.mp4", url=other).try_once()
    result = transfer(store, url=f"{other}?signed=again").try_once()
    name = result["uri"].partition(f"{store.bucket}/")[2]
    assert name.endswith(other.rpartition("/")[2])
    assert hashlib.sha256(store.read(name)).hexdigest() == result["sha256"]
    assert not store.facts(name).metadata
    segmind.add_faults(NOBODY_GIVES_FILES)
    with pytest.raises(AirflowFailException, match="HTTP 404"):
        transfer(store, url=other).try_once()
