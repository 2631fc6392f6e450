"""Proof of likeness: the service's own SDK, unchanged, runs against the emulator."""

from __future__ import annotations

import io
import urllib.request

import av
import pytest
from segmind import SegmindClient
from segmind.exceptions import SegmindError
from segmind.v2 import InferenceFailed, InferenceTimeout

from airflow_ltx.emulator import Settings, running_emulator

KEY = "SG_0123456789abcdef"
PROMPT = (
    "A woman in close-up, dim blue light on one side of her face, rain on the window behind her, she turns "
    "slowly towards the camera, film still, shallow depth of field"
)


@pytest.fixture
def emulator():
    settings = Settings(api_keys=frozenset({KEY, "SG_other"}), queue_seconds=0.05, inference_seconds=0.1)
    with running_emulator(settings) as running:
        yield running


@pytest.fixture
def clients(emulator):
    opened = []

    def client(key: str = KEY) -> SegmindClient:
        opened.append(SegmindClient(api_key=key, base_url=f"{emulator.base_url}/v1"))
        return opened[-1]

    yield client
    for each in opened:
        each._client.close()


def fetch(url: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as response:
        assert response.headers["content-type"] == "video/mp4"
        return response.read()


def decode(content: bytes) -> tuple[tuple[str, int, int], list[bytes]]:
    with av.open(io.BytesIO(content)) as film:
        stream = film.streams.video[0]
        frames = [frame.to_image().resize((32, 24)).tobytes() for frame in film.decode(stream)]
        return (stream.codec_context.name, stream.codec_context.width, stream.codec_context.height), frames


def test_a_job_from_submit_to_a_playable_film(emulator, clients):
    emulator.configure(queue_seconds=5.0, inference_seconds=50.0)
    job = clients().submit_async("ltx-video", prompt=PROMPT, seed=2357108, cfg=3, steps=30, length=97)
    assert job.submit_response["status"] == "QUEUED"
    assert job.status()["status"] == "QUEUED"
    emulator.advance(5)
    assert job.status()["status"] == "PROCESSING"
    emulator.advance(50)
    body = job.wait(timeout=20, interval=0.02)
    assert (body["status"], body["seed"], body["output"]) == ("COMPLETED", "2357108", body["video"]["url"])
    assert job.status()["metrics"]["cost"] == 0.0525
    assert job.result()["video"]["url"] == body["video"]["url"]
    facts, frames = decode(fetch(body["video"]["url"]))
    assert (facts, len(frames)) == (("h264", 768, 512), 97)
    assert len(set(frames)) > 48
    assert emulator.ledger.billed_requests() == [job.request_id]


def test_run_is_submit_and_wait_and_two_runs_are_two_films(emulator, clients):
    emulator.configure(queue_seconds=0, inference_seconds=0)
    bodies = [clients().run("ltx-video", prompt=PROMPT, target_size=512) for _ in range(2)]
    (_, first), (_, second) = (decode(fetch(body["output"])) for body in bodies)
    assert len(first) == len(second) == 97
    assert first[0] != second[0]
    assert len(emulator.ledger.purchases()) == 2


def test_run_sync_returns_the_bytes(emulator, clients):
    response = clients().run_sync("wan-2.2-t2v-fast", prompt=PROMPT)
    assert response.headers["content-type"] == "video/mp4"
    assert response.headers["x-cost"] == "0.1"
    assert response.headers["x-request-id"] == emulator.ledger.accepted()[0].request_id
    assert decode(response.content)[0][0] == "h264"


@pytest.mark.parametrize("code", [422, 200])
def test_a_failed_job_raises_with_the_services_words(emulator, clients, code):
    emulator.configure(failed_http_status=code)
    job = clients().submit_async("ltx-video", negative_prompt="blurry")
    with pytest.raises(InferenceFailed) as caught:
        job.wait(timeout=20, interval=0.02)
    assert caught.value.detail == "Prompt is required for video generation."
    assert caught.value.status_body["status"] == "FAILED"
    assert job.result()["error"] == caught.value.detail
    assert emulator.ledger.billed_total() == 0


def test_a_job_that_outlasts_the_wait_can_be_looked_at_later(emulator, clients):
    emulator.configure(inference_seconds=500.0)
    job = clients().submit_async("ltx-video", prompt=PROMPT)
    with pytest.raises(InferenceTimeout) as caught:
        job.wait(timeout=0.2, interval=0.05)
    assert caught.value.request_id == job.request_id
    emulator.advance(500)
    assert job.wait(timeout=20, interval=0.02)["status"] == "COMPLETED"


def test_an_unknown_status_word_is_waited_through(emulator, clients):
    emulator.set_faults("status:after:status:ARCHIVING*2")
    job = clients().submit_async("ltx-video", prompt=PROMPT)
    assert job.status()["status"] == "ARCHIVING"
    assert job.wait(timeout=20, interval=0.02)["status"] == "COMPLETED"


def test_a_wrong_key_is_a_401(clients):
    with pytest.raises(SegmindError) as caught:
        clients("SG_wrong").submit_async("ltx-video", prompt=PROMPT)
    assert caught.value.status == 401
    assert caught.value.detail.startswith("Unauthorized. API key is invalid")


def test_no_credits_is_a_402(emulator, clients):
    emulator.configure(credits=0)
    with pytest.raises(SegmindError) as caught:
        clients().submit_async("ltx-video", prompt=PROMPT)
    assert (caught.value.status, caught.value.detail) == (402, "Insufficient credits. You have 0.0 credits.")


def test_unknown_slugs_foreign_and_forgotten_requests_are_404s(emulator, clients):
    with pytest.raises(SegmindError) as caught:
        clients().submit_async("no-such-model", prompt=PROMPT)
    assert caught.value.status == 404
    job = clients().submit_async("ltx-video", prompt=PROMPT)
    job._client = clients("SG_other")
    with pytest.raises(SegmindError) as caught:
        job.status()
    assert (caught.value.status, caught.value.detail) == (404, f"Request {job.request_id} not found")
    job._client = clients()
    assert job.status()["request_id"] == job.request_id
    emulator.advance(3600)
    with pytest.raises(SegmindError) as caught:
        job.status()
    assert caught.value.status == 404


def test_too_many_requests_are_a_429(emulator, clients):
    emulator.configure(requests_per_minute=2)
    client = clients()
    job = client.submit_async("ltx-video", prompt=PROMPT)
    job.status()
    with pytest.raises(SegmindError) as caught:
        client.submit_async("ltx-video", prompt=PROMPT)
    assert caught.value.status == 429
    emulator.advance(60)
    assert client.submit_async("ltx-video", prompt=PROMPT).request_id != job.request_id


def test_a_value_outside_a_fixed_set_is_a_406(clients):
    with pytest.raises(SegmindError) as caught:
        clients().submit_async("ltx-video", prompt=PROMPT, length=98)
    assert caught.value.status == 406
    assert "length" in caught.value.detail
