"""What a later try makes of what an earlier one bought: taken up, returned, or left behind by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException
from videos import PROMPT, Killed, ids, killed, video, videos

from airflow_ltx.emulator import FaultRule, results
from airflow_ltx.exceptions import WaitTimeout
from airflow_ltx.operators.segmind import SegmindSubmitOperator

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")


def test_a_worker_that_dies_after_the_submit_is_followed_by_one_that_takes_up_the_request(
    segmind, monkeypatch
):
    run = video()
    with monkeypatch.context() as patch:
        patch.setattr(SegmindSubmitOperator, "_wait", killed)
        with pytest.raises(Killed):
            run.try_once()
    result = run.try_once()
    assert ids(segmind) == [result["request_id"]]


@pytest.mark.parametrize(("landing", "state"), [(True, True), (True, False), (False, True)])
def test_a_cleared_task_returns_what_it_has(segmind, told, tmp_path, landing, state):
    run = video(state=state, **({"destination": f"file://{tmp_path}/"} if landing else {}))
    first = run.try_once()
    polls, lookups = segmind.ledger.submissions[0].polls, dict(segmind.ledger.lookups)
    for _ in range(2):
        run.clear()
        assert run.try_once() == {**first, "reused": True}
    assert ids(segmind) == [first["request_id"]]
    assert (segmind.ledger.submissions[0].polls, segmind.ledger.lookups) == (polls, lookups)
    assert f"Reused the result of request {first['request_id']}" in told()
    assert run.ti.xcom["video_url"] == first["video_url"]


@pytest.fixture
def signed(segmind, monkeypatch):
    """The service signs the URLs of its files."""
    named = results._video

    def signed(*args):
        told = named(*args)
        return {**told, "url": f"{told['url']}?X-Amz-Signature=5ecret"}

    monkeypatch.setattr(results, "_video", signed)
    return segmind


def test_a_landed_file_is_returned_without_a_call_though_its_url_was_signed(signed, told, tmp_path):
    run = video(destination=f"file://{tmp_path}/", state=False)
    first = run.try_once()
    assert first["output_url"].endswith("?X-Amz-Signature=5ecret")
    signed.add_faults("any:before:404*inf")
    run.clear()
    url = first["output_url"].partition("?")[0]
    assert run.try_once() == {
        **first,
        "output_url": url,
        "outputs": [url],
        "video_url": url,
        "reused": True,
    }
    assert f"Reused the result of request {first['request_id']}" in told()
    assert not [path for path in tmp_path.rglob("*.json") if "5ecret" in path.read_text()]


def test_a_signed_url_that_is_all_there_is_is_asked_for_again(signed, told):
    run = video()
    first = run.try_once()
    assert "5ecret" not in json.dumps(run.record)
    run.clear()
    assert run.try_once()["output_url"] == first["output_url"]
    assert len(ids(signed)) == 1
    assert "its URL was not kept" in told()


@pytest.mark.parametrize("damage", ["removed", "cut", "changed", "moved away"])
@pytest.mark.parametrize("hours", [0, 30])
def test_a_file_that_is_not_there_any_more_is_landed_again_without_buying(
    segmind, later, tmp_path, damage, hours
):
    wanted = [f"file://{tmp_path}/a/"]
    run = video()
    build = run.build

    def towards():
        operator = build()
        operator.destination = wanted[0]
        return operator

    run.build = towards
    first = run.try_once()
    file = Path(first["uri"].removeprefix("file://"))
    content = file.read_bytes()
    match damage:
        case "removed":
            file.unlink()
        case "cut":
            file.write_bytes(content[:-1])
        case "changed":
            file.write_bytes(content[:-1] + b"!")
        case _:
            wanted[0] = f"file://{tmp_path}/b/"
    later(hours * 3600)
    run.clear()
    second = run.try_once()
    assert Path(second["uri"].removeprefix("file://")).read_bytes() == content
    assert (second["request_id"], second["sha256"]) == (first["request_id"], first["sha256"])
    assert second["reused"] is True
    assert len(segmind.ledger.submissions) == 1


def test_a_cleared_task_buys_anew_where_its_author_says_so(segmind):
    run = video(on_clear="{{ 'regenerate' }}")
    first = run.try_once()
    run.clear()
    second = run.try_once()
    assert ids(segmind) == [first["request_id"], second["request_id"]]
    assert second["seed"] != first["seed"]


def test_a_task_that_is_cleared_under_way_takes_up_or_leaves_behind(segmind, told):
    segmind.configure(inference_seconds=30)
    run = video(timeout=0.1, deferrable=False, on_clear="regenerate")
    with pytest.raises(WaitTimeout):
        run.try_once()
    # A retry is no clearing.
    with pytest.raises(WaitTimeout):
        run.try_once()
    assert len(segmind.ledger.submissions) == 1
    run.clear()
    with pytest.raises(WaitTimeout):
        run.try_once()
    assert len(segmind.ledger.submissions) == 2
    assert f"Abandoned request {ids(segmind)[0]} of an earlier try" in told()
    assert "It was bought, goes on, and is billed." in told()


def test_a_task_that_does_not_wait_returns_its_id_again_unless_the_request_failed(segmind, later):
    run = video(wait_for_completion=False)
    first = run.try_once()
    run.clear()
    assert run.try_once()["request_id"] == first["request_id"]
    failing = video(wait_for_completion=False, image="https://unreachable.invalid/first.png")
    failing.try_once()
    later(60)
    failing.clear()
    assert failing.try_once()["reused"] is False
    _, first, second = segmind.ledger.submissions
    assert first.body == second.body


def test_a_task_that_does_not_wait_fails_where_its_request_failed_at_a_cost(segmind):
    run = video(wait_for_completion=False)
    run.try_once()
    told = {"status": "FAILED", "error": "out of memory", "metrics": {"cost": 0.05}}
    segmind.add_faults(FaultRule("status", "before", "422", None, body=told))
    run.clear()
    with pytest.raises(AirflowFailException, match=r"reports a cost of \$0.05.*No retry buys another one"):
        run.try_once()
    assert (run.purchases[-1]["phase"], run.purchases[-1]["cost"]) == ("lost", 0.05)
    assert len(segmind.ledger.submissions) == 1


def test_a_prompt_that_differs_on_every_try_names_what_it_abandons(segmind, told):
    segmind.configure(inference_seconds=5)
    run = videos([f"{PROMPT} one", f"{PROMPT} two"], timeout=0.2, deferrable=False)
    for _ in range(2):
        with pytest.raises(WaitTimeout):
            run.try_once()
    assert f"Abandoned request {ids(segmind)[0]}" in told()
    assert "a prompt that differs on every try is bought on every try" in told()


def test_a_prompt_that_comes_back_takes_up_what_was_bought_for_it(segmind, later, told):
    segmind.configure(inference_seconds=1)
    prompts = [f"{PROMPT} one", f"{PROMPT} two", f"{PROMPT} one"]
    run = videos(prompts, timeout=0.2, deferrable=False)
    for _ in range(2):
        with pytest.raises(WaitTimeout):
            run.try_once()
    later(5)
    assert run.try_once()["request_id"] == ids(segmind)[0]
    assert len(segmind.ledger.submissions) == 2
    assert f"Abandoned request {ids(segmind)[1]} of an earlier try: the model or its parameters" in told()


def test_other_parameters_may_be_forbidden(segmind):
    segmind.configure(inference_seconds=5)
    prompts = [f"{PROMPT} one", f"{PROMPT} two"]
    run = videos(prompts, timeout=0.2, deferrable=False, on_stale_state="fail")
    with pytest.raises(WaitTimeout):
        run.try_once()
    with pytest.raises(AirflowFailException, match=f"those of request {ids(segmind)[0]}"):
        run.try_once()
    assert len(segmind.ledger.submissions) == 1


def test_a_link_signed_anew_is_the_same_picture(segmind):
    segmind.configure(inference_seconds=5)
    signatures = iter(range(9))
    run = video(timeout=0.2, deferrable=False)
    build = run.build

    def signed():
        operator = build()
        operator.image = f"https://pictures.example/first.png?signature={next(signatures)}"
        return operator

    run.build = signed
    for _ in range(2):
        with pytest.raises(WaitTimeout):
            run.try_once()
    assert len(segmind.ledger.submissions) == 1
