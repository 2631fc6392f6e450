"""One request's life on the emulator, and the shapes of its answers."""

from __future__ import annotations

import pytest
from emulation import BASE_URL, PROMPT, world


def test_a_submit_is_answered_with_an_id_and_absolute_urls():
    answer = world().post()
    body = answer.json()
    request_id = body["request_id"]
    assert answer.status == 200
    assert len(request_id) == 32
    assert int(request_id, 16) >= 0
    assert body == {
        "request_id": request_id,
        "status": "QUEUED",
        "poll_url": f"{BASE_URL}/v1/requests/{request_id}",
        "status_url": f"{BASE_URL}/v2/requests/{request_id}/status",
        "response_url": f"{BASE_URL}/v2/requests/{request_id}",
    }


@pytest.mark.parametrize(
    ("after", "expected"),
    [(0, "QUEUED"), (9.9, "QUEUED"), (10, "PROCESSING"), (59.9, "PROCESSING"), (60, "COMPLETED")],
)
def test_the_state_follows_the_clock(after, expected):
    w = world()
    request_id = w.submit()
    w.clock.now += after
    answer = w.status(request_id)
    assert (answer.status, answer.json()["status"]) == (200, expected)
    if expected != "COMPLETED":
        assert answer.json()["metrics"] == {}
        assert answer.json()["status_url"] == f"{BASE_URL}/v2/requests/{request_id}/status"
        assert w.result(request_id).json()["status"] == expected


def test_a_completed_request_tells_cost_times_and_url():
    w = world(credits=1.0)
    request_id = w.submit(seed=7)
    w.clock.now += 60
    metrics = {
        "cost": 0.0525,
        "remaining_credits": 0.9475,
        "inference_time": 50.0,
        "queue_time": 10.0,
        "total_time": 60.0,
    }
    assert w.status(request_id).json() == {
        "status": "COMPLETED",
        "request_id": request_id,
        "metrics": metrics,
    }
    body = w.result(request_id).json()
    url = body["output"]
    assert url.startswith(f"{BASE_URL}/files/")
    assert request_id not in url
    assert body == {
        "status": "COMPLETED",
        "error": None,
        "seed": "7",
        "prompt": PROMPT,
        "timings": {"inference": 50.0},
        "metrics": metrics,
        "video": {"url": url, "content_type": "video/mp4", "file_name": url.rpartition("/")[2]},
        "output": url,
    }
    w.core.note_size(w.core.ledger.of(request_id).job.video.file_name, 4321)
    assert w.result(request_id).json()["video"]["file_size"] == "4321"


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ("video", lambda body: body["video"]["url"]),
        ("output_string", lambda body: body["output"]),
        ("output_list", lambda body: body["output"][0]),
        ("output_object", lambda body: body["output"]["url"]),
        ("nested", lambda body: body["output"]["videos"][0]["url"]),
    ],
)
def test_the_result_comes_in_the_shape_that_was_set(shape, read):
    w = world(result_shape=shape)
    request_id = w.submit()
    w.clock.now += 60
    body = w.result(request_id).json()
    path = read(body).removeprefix(BASE_URL)
    assert w.call("GET", path, key="").file.request_id == request_id
    assert ("video" in body) == (shape == "video")


@pytest.mark.parametrize("code", [422, 200])
def test_a_failed_request_says_so_on_both_endpoints(code):
    w = world(failed_http_status=code)
    request_id = w.submit(image="https://unreachable.invalid/a.png")
    w.clock.now += 60
    for answer in (w.status(request_id), w.result(request_id)):
        assert answer.status == code
        body = answer.json()
        assert (body["status"], body["error"]) == ("FAILED", "image URL download failed")
        assert set(body["metrics"]) == {"inference_time", "queue_time"}


def test_a_wrong_body_fails_as_soon_as_it_leaves_the_queue():
    w = world()
    request_id = w.submit(prompt="")
    w.clock.now += 9.9
    assert w.status(request_id).json()["status"] == "QUEUED"
    w.clock.now += 0.2
    assert w.status(request_id).json()["status"] == "FAILED"


def test_a_record_is_forgotten_before_its_file():
    w = world(record_ttl=3600, file_ttl=7 * 86400)
    request_id = w.submit()
    submitted = w.clock.now
    w.clock.now = submitted + 60
    path = w.result(request_id).json()["output"].removeprefix(BASE_URL)
    w.clock.now = submitted + 3599
    assert w.status(request_id).status == 200
    w.clock.now = submitted + 3600
    for answer in (w.status(request_id), w.result(request_id)):
        assert (answer.status, answer.json()) == (404, {"error": f"Request {request_id} not found"})
    assert w.call("GET", path, key="").status == 200
    w.clock.now = submitted + 60 + 7 * 86400
    gone = w.call("GET", path, key="")
    assert (gone.status, gone.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_a_file_cannot_be_had_before_it_is_finished_nor_of_a_failed_request():
    w = world()
    for parameters, now in (({}, 59), ({"steps": 0}, 60)):
        request_id = w.submit(**parameters)
        (entry,) = [e for e in w.core.ledger.submissions if e.request_id == request_id]
        w.clock.now += now
        assert w.call("GET", f"/files/{entry.job.video.file_name}", key="").status == 404


def test_another_keys_request_is_not_found():
    w = world()
    request_id = w.submit()
    assert w.status(request_id, key="SG_other").status == 404
    assert w.status("0" * 32).status == 404
    assert w.status(request_id).status == 200


def test_the_legacy_poll_answers_with_the_result():
    w = world()
    request_id = w.submit()
    w.clock.now += 60
    assert w.call("GET", f"/v1/requests/{request_id}").json() == w.result(request_id).json()


def test_the_synchronous_api_answers_with_the_file_when_it_is_ready():
    w = world(queue_seconds=1.0, credits=1.0)
    answer = w.call("POST", "/v1/ltx-video", {"prompt": PROMPT, "seed": 5})
    assert answer.ready_at == w.clock.now + 51
    assert answer.file.request_id == answer.headers["x-request-id"]
    assert answer.headers == {
        "x-request-id": answer.request_id,
        "content-type": "video/mp4",
        "x-cost": "0.0525",
        "x-remaining-credits": "0.9475",
        "x-generation-time": "50.0",
        "x-seed-value": "5",
        "x-rate-limit-reset-at-utc": "2027-01-15T08:01:00.000Z",
    }


def test_the_synchronous_api_gives_up_unbilled_after_its_limit():
    w = world(inference_seconds=200.0)
    answer = w.call("POST", "/v1/ltx-video", {"prompt": PROMPT})
    assert (answer.status, answer.json()) == (500, {"error": "Internal Polling Error"})
    assert answer.ready_at == w.clock.now + 100
    w.clock.now += 500
    assert w.core.ledger.billed_total() == 0
    assert w.status(answer.request_id).json()["status"] == "FAILED"


def test_the_synchronous_api_refuses_a_wrong_body_after_the_queue():
    w = world()
    answer = w.call("POST", "/v1/ltx-video", {"negative_prompt": "x"})
    assert (answer.status, answer.json()["error"]) == (400, "Prompt is required for video generation.")
    assert w.clock.now < answer.ready_at < w.clock.now + 10.1


def test_seconds_are_drawn_from_a_range_and_everything_repeats_under_a_seed():
    def run(seed: int):
        w = world(seed=seed, queue_seconds=(1.0, 5.0), inference_seconds=(2.0, 80.0))
        for _ in range(20):
            w.submit()
        return [
            (e.request_id, e.job.queue_seconds, e.job.inference_seconds, e.job.seed, e.job.video)
            for e in w.core.ledger.submissions
        ]

    first = run(1)
    assert first == run(1)
    assert not {row[0] for row in first} & {row[0] for row in run(2)}
    assert (
        len({row[0] for row in first})
        == len({row[1] for row in first})
        == len({row[2] for row in first})
        == 20
    )
    assert all(1 <= queue < 5 and 2 <= inference < 80 for _, queue, inference, *_ in first)


def test_changed_settings_apply_from_the_next_submit():
    w = world()
    old = w.submit()
    w.core.configure({"queue_seconds": 0, "inference_seconds": [1, 1]})
    new = w.submit()
    w.clock.now += 1
    assert w.status(new).json()["status"] == "COMPLETED"
    assert w.status(old).json()["status"] == "QUEUED"
    with pytest.raises(ValueError, match="api_keys"):
        w.core.configure({"api_keys": ["x"]})
    with pytest.raises(ValueError, match="credits must be >= 0"):
        w.core.configure({"credits": -1})
    with pytest.raises(ValueError, match="wrong type"):
        w.core.configure({"credits": "many"})
