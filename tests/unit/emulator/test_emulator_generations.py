"""The lists of outputs: of everything that has one, and the latest of a model."""

from __future__ import annotations

from emulation import PROMPT, world


def test_outputs_are_listed_without_what_has_none():
    w = world(outputs=2)
    done = w.submit("ltx-video", seed=1)
    w.submit(steps=0)
    w.submit("wan2.1-t2v")
    w.clock.now += 55
    assert w.call("GET", "/inference-request/generations").json()["data"] == []
    w.clock.now += 10
    body = w.call("GET", "/inference-request/generations?model_name=ltx-video").json()
    assert [row["request_id"] for row in body["data"]] == [done, done]
    assert len({row["id"] for row in body["data"]}) == body["total"] == 2
    row = body["data"][0]
    assert (row["status"], row["credits_deduction"], row["latency_ms"]) == ("COMPLETED", 0.0525, 60_000)
    assert (row["prompt"], row["parameters"]) == (PROMPT, {"prompt": PROMPT, "seed": 1})
    assert row["generation_url"] == w.result(done).json()["output"]
    assert w.call("GET", "/inference-request/generations?model_name=ltx").json()["data"] == []
    assert len(w.call("GET", "/inference-request/generations").json()["data"]) == 4
    day = "/inference-request/generations?start_date=2027-01-15&end_date="
    assert len(w.call("GET", f"{day}2027-01-15").json()["data"]) == 4
    assert w.call("GET", f"{day}2027-01-14").status == 400
    assert w.call("GET", f"{day}soon").status == 400


def test_the_record_behind_an_output_can_land_later():
    w = world(record_lag_seconds=5.0)
    w.submit()
    late = ("status", "credits_deduction", "latency_ms", "prompt", "parameters")
    for seconds, there in ((60, False), (5, True)):
        w.clock.now += seconds
        (row,) = w.call("GET", "/inference-request/generations").json()["data"]
        assert row["generation_url"].endswith(".mp4")
        assert [row[key] is not None for key in late] == [there] * 5


def test_the_latest_outputs_are_of_one_model():
    w = world()
    ids = [w.submit(slug) for slug in ("ltx-video", "ltx-2-fast", "ltx-video")]
    w.clock.now += 60
    rows = w.call("GET", "/inference-request/recent-generations?model_name=ltx-video").json()["data"]
    assert [row["request_id"] for row in rows] == [ids[2], ids[0]]
    answer = w.call("GET", "/inference-request/recent-generations")
    assert (answer.status, answer.json()) == (400, {"error": "model_name is required"})
