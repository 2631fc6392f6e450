"""Proof of likeness: the service's own SDK, unchanged, runs against the emulator.

Its hosts are hard-coded. Its HTTP client gets a transport that connects to the emulator instead, over a real
socket; everything above the transport is the SDK's.
"""

from __future__ import annotations

import io
import urllib.request
from pathlib import Path

import av
import httpx
import pytest
from PIL import Image
from segmind import SegmindClient
from segmind.exceptions import SegmindError
from segmind.v2 import InferenceFailed, InferenceTimeout

from airflow_ltx.emulator import Settings, running_emulator

KEY = "SG_0123456789abcdef"
PROMPT = (
    "A woman in close-up, dim blue light on one side of her face, rain on the window behind her, she turns "
    "slowly towards the camera, film still, shallow depth of field"
)


SEGMIND_HOSTS = {f"{name}.segmind.com" for name in ("api", "api.spotprod", "cloud", "workflows-api")}


class ToEmulator(httpx.HTTPTransport):
    """Connects to the emulator whatever host of the service is asked for, and to nobody else."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._emulator = httpx.URL(base_url)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        emulator = self._emulator
        assert request.url.host in SEGMIND_HOSTS | {emulator.host}, request.url
        request.url = request.url.copy_with(scheme="http", host=emulator.host, port=emulator.port)
        request.headers["host"] = emulator.netloc.decode()
        return super().handle_request(request)


def on_the_emulator(client: SegmindClient, base_url: str) -> SegmindClient:
    """Give the SDK's client another transport and leave the rest of it as the SDK built it."""
    built = client._client
    client._client = httpx.Client(
        headers=built.headers,
        timeout=built.timeout,
        base_url=built.base_url,
        transport=ToEmulator(base_url),
    )
    built.close()
    return client


@pytest.fixture
def emulator():
    settings = Settings(api_keys=frozenset({KEY, "SG_other"}), queue_seconds=0.05, inference_seconds=0.1)
    with running_emulator(settings) as running:
        yield running


@pytest.fixture
def clients(emulator):
    opened = []

    def client(key: str | None = KEY, **more: str) -> SegmindClient:
        opened.append(on_the_emulator(SegmindClient(api_key=key, **more), emulator.base_url))
        return opened[-1]

    yield client
    for each in opened:
        each._client.close()


def fetch(url: str, kind: str = "video/mp4") -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as response:
        assert response.headers["content-type"] == kind
        return response.read()


def picture(path: Path, colour: str = "navy") -> Path:
    Image.new("RGB", (64, 48), colour).save(path)
    return path


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
    response = clients().run_sync("wan-2.2-t2v-fast", prompt=PROMPT, seed=11)
    assert response.headers["content-type"] == "video/mp4"
    assert response.headers["x-cost"] == "0.1"
    assert response.headers["x-remaining-credits"] == "99.9"
    assert response.headers["x-request-id"] == emulator.ledger.accepted()[0].request_id
    assert response.headers["x-seed-value"] == "11"
    assert float(response.headers["x-generation-time"]) == 0.1
    assert response.headers["x-rate-limit-reset-at-utc"].endswith("Z")
    assert decode(response.content)[0][0] == "h264"


def test_a_synchronous_run_of_a_slow_model_is_cut(emulator, clients):
    emulator.configure(sync_limit_seconds=0.1, inference_seconds=5.0)
    with pytest.raises(SegmindError) as caught:
        clients().run_sync("ltx-video", prompt=PROMPT)
    assert (caught.value.status, caught.value.detail) == (500, "Internal Polling Error")
    assert emulator.ledger.billed_total() == 0


def test_another_base_url_works_for_both_versions(emulator, clients):
    client = clients(base_url=f"{emulator.base_url}/v1")
    job = client.submit_async("ltx-video", prompt=PROMPT)
    assert job.status()["request_id"] == job.request_id
    assert client.run_sync("wan-2.2-t2v-fast", prompt=PROMPT).status_code == 200


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


def test_the_history_tells_every_request_with_its_cost_and_inputs(emulator, clients):
    client = clients()
    first = client.submit_async("ltx-video", prompt=PROMPT, target_size=512, seed=4)
    done = first.wait(timeout=20, interval=0.02)
    failed = client.submit_async("ltx-video", prompt="")
    emulator.configure(inference_seconds=50.0)
    running = client.submit_async("wan2.1-t2v", prompt=PROMPT)
    emulator.advance(1)
    rows = {row["request_id"]: row for row in client.generations.history()["data"]}
    assert {request_id: row["model_status"] for request_id, row in rows.items()} == {
        first.request_id: "COMPLETED",
        failed.request_id: "FAILED",
        running.request_id: "PENDING",
    }
    row = rows[first.request_id]
    assert row["request_body"] == {"prompt": PROMPT, "target_size": 512, "seed": 4}
    assert (row["generation_url"], row["credits_deduction"]) == (done["output"], 0.000105)
    assert rows[failed.request_id]["error"] == "Prompt is required for video generation."
    assert client.generations.get(first.request_id) == row


def test_the_history_can_be_paged_filtered_and_sorted(emulator, clients):
    emulator.configure(queue_seconds=0, inference_seconds=0, outputs=2)
    client = clients()
    for slug in ("ltx-video", "wan2.1-t2v", "ltx-2-fast"):
        client.submit_async(slug, prompt=PROMPT)
    pages = [client.generations.history(page=page, per_page=4)["data"] for page in (1, 2, 3)]
    assert [len(page) for page in pages] == [4, 2, 0]
    dearest = client.generations.history(sort_by="credits_deduction", status="COMPLETED")["data"]
    assert [row["model_name"] for row in dearest[::2]] == ["wan2.1-t2v", "ltx-2-fast", "ltx-video"]
    costs = {row["request_id"]: row["credits_deduction"] for row in dearest}
    assert sum(costs.values()) == pytest.approx(emulator.ledger.billed_total())
    named = client.generations.history(model_name="ltx", sort_by="model_name", sort_order="asc")["data"]
    assert [row["model_name"] for row in named[::2]] == ["ltx-2-fast", "ltx-video"]
    assert client.generations.history(from_date="2026-01-01", to_date="2026-01-31")["data"] == []
    for wrong in ({"per_page": 101}, {"from_date": "2026-01-01", "to_date": "2026-03-01"}, {"status": "X"}):
        with pytest.raises(SegmindError) as caught:
            client.generations.history(**wrong)
        assert (caught.value.status, bool(caught.value.detail)) == (400, True)


def test_a_request_that_the_gateway_forgot_is_found_in_the_history(emulator, clients):
    client = clients()
    job = client.submit_async("wan-2.2-t2v-fast", prompt=PROMPT)
    emulator.advance(2 * 3600)
    with pytest.raises(SegmindError):
        job.status()
    row = client.generations.get(job.request_id)
    assert decode(fetch(row["generation_url"]))[0][0] == "h264"
    with pytest.raises(SegmindError) as caught:
        clients("SG_other").generations.get(job.request_id)
    assert caught.value.status == 404


def test_a_row_that_has_not_landed_is_missing_and_then_full_of_nulls(emulator, clients):
    emulator.configure(queue_seconds=0, inference_seconds=0, history_lag_seconds=60, record_lag_seconds=60)
    client = clients()
    job = client.submit_async("ltx-video", prompt=PROMPT)
    assert client.generations.history()["data"] == client.generations.list()["data"] == []
    emulator.advance(61)
    (row,) = client.generations.history()["data"]
    assert (row["model_status"], row["generation_url"], row["request_body"]) == ("COMPLETED", None, None)
    emulator.advance(60)
    assert client.generations.get(job.request_id)["generation_url"] == job.result()["output"]


def test_outputs_are_listed_and_the_latest_of_a_model(emulator, clients):
    emulator.configure(queue_seconds=0, inference_seconds=0)
    client = clients()
    jobs = [client.submit_async(slug, prompt=PROMPT) for slug in ("ltx-video", "wan2.1-t2v", "ltx-video")]
    client.submit_async("ltx-video", prompt="")
    emulator.advance(1)
    listed = client.generations.list()["data"]
    assert [row["request_id"] for row in listed] == [job.request_id for job in reversed(jobs)]
    me = client.accounts.current()
    assert {row["user_id"] for row in listed} == {me["user_id"]}
    assert {row["user_email"] for row in listed} == {me["email"]}
    today = listed[0]["created_at"][:10]
    chosen = client.generations.list(model_name="wan2.1-t2v", end_date=today, user_id=me["user_id"])["data"]
    assert [row["credits_deduction"] for row in chosen] == [0.86]
    assert client.generations.list(page=2)["data"] == []
    recent = client.generations.recent("ltx-video")["data"]
    assert [row["request_id"] for row in recent] == [jobs[2].request_id, jobs[0].request_id]
    assert recent[0]["prompt"] == PROMPT


@pytest.mark.parametrize("how_many", [1, 3])
def test_pictures_go_up_and_their_urls_start_videos(emulator, clients, tmp_path, how_many):
    files = [picture(tmp_path / f"{n}.png", f"#{n}0{n}0{n}0") for n in range(how_many)]
    answer = clients().files.upload(files if how_many > 1 else files[0])
    assert answer["message"] == "Files uploaded successfully"
    assert [fetch(url, "image/png") for url in answer["file_urls"]] == [file.read_bytes() for file in files]
    good, bad = (
        clients().submit_async("wan-2.2-i2v-fast", prompt=PROMPT, image=url)
        for url in (answer["file_urls"][-1], f"{answer['file_urls'][0]}x")
    )
    assert decode(fetch(good.wait(timeout=20, interval=0.02)["output"]))[0][0] == "h264"
    with pytest.raises(InferenceFailed) as caught:
        bad.wait(timeout=20, interval=0.02)
    assert caught.value.detail == "image URL download failed"


def test_an_upload_that_is_too_large_or_not_allowed_is_an_error(emulator, clients, tmp_path):
    emulator.configure(upload_limit=10)
    for client, code in ((clients(), 413), (clients("SG_wrong"), 401)):
        with pytest.raises(SegmindError) as caught:
            client.files.upload(picture(tmp_path / "picture.png"))
        assert (caught.value.status, bool(caught.value.detail)) == (code, True)
    assert emulator.ledger.assets == []


def test_the_catalogue_needs_no_key(clients):
    entries = clients(None).models.list()["Inference Segmind Model Information List With Details"]
    (entry,) = (entry for entry in entries if entry["slug"] == "ltx-video")
    assert entry["is_depreciated"] is False
    assert entry["parameters_schema"]["required"] == ["prompt"]
