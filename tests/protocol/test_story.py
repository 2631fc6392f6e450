"""The log tells a task's story in one line per step: what was done, of which request, for how much, and what
a retry will do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException
from videos import PROMPT, changing, video

from airflow_ltx.exceptions import SegmindError, SubmitOutcomeUnknown, WaitTimeout
from runner import TaskState

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")

STEPS = re.compile(r"(Bought|Reattached|Reused|Abandoned|Left behind|Done|Found)\b.*")
A_RETRY = re.compile(r"a retry", re.IGNORECASE)


@pytest.fixture
def story(told):
    """The lines of steps since the last time."""
    known = 0

    def lines() -> list[str]:
        nonlocal known
        every = [found.group() for found in map(STEPS.search, told().splitlines()) if found]
        new, known = every[known:], len(every)
        return new

    return lines


def cost(result) -> str:
    return f"billed ${result['cost']:g}"


def test_bought_and_done(segmind, story, tmp_path):
    result = video(destination=f"file://{tmp_path}/").try_once()
    bought, done = story()
    assert bought.startswith(f"Bought request {result['request_id']} of ltx-video. A retry takes up this")
    assert done.startswith(f"Done: request {result['request_id']}, {cost(result)}; {result['bytes']} bytes")


def test_bought_where_nothing_remembers_it(segmind, story):
    result = video(state=False).try_once()
    (bought,) = [line for line in story() if line.startswith("Bought")]
    assert "keeps no record between tries" in bought
    assert "a retry buys a new request" in bought
    assert f".wait('{result['request_id']}')" in bought


def test_bought_and_not_recorded(segmind, story, told, monkeypatch):
    write, fails = TaskState.set, iter([False, True])

    def second_fails(self, *args, **options):
        if next(fails, False):
            raise ConnectionError("the api-server is away")
        write(self, *args, **options)

    monkeypatch.setattr(TaskState, "set", second_fails)
    result = video().try_once()
    (bought,) = [line for line in told().splitlines() if "Bought" in line]
    assert result["request_id"] in bought
    assert f"Request {result['request_id']}: Its record could not be completed: a retry looks" in told()


def test_reattached_while_it_is_under_way(segmind, story):
    segmind.configure(inference_seconds=30)
    run = video(timeout=0.1, deferrable=False)
    for _ in range(2):
        with pytest.raises(WaitTimeout):
            run.try_once()
    _, reattached = story()
    assert reattached.startswith(f"Reattached to request {segmind.ledger.submissions[0].request_id}, bought")
    assert "Nothing is bought, and a retry takes it up again" in reattached


def test_reused_and_landed_again(segmind, story, tmp_path):
    run = video(destination=f"file://{tmp_path}/")
    first = run.try_once()
    story()
    run.clear()
    run.try_once()
    (reused,) = story()
    assert reused.startswith(f"Reused the result of request {first['request_id']}, {cost(first)}: ")
    assert "a retry returns it again" in reused
    Path(first["uri"].removeprefix("file://")).unlink()
    run.clear()
    run.try_once()
    reattached, _ = story()
    assert reattached.startswith(f"Reattached to request {first['request_id']}, bought")
    assert cost(first) in reattached


@pytest.mark.parametrize("prompt", [PROMPT, f"{PROMPT} two"])
def test_left_behind_by_a_person_who_has_another_one_bought(segmind, story, tmp_path, prompt):
    how = {"destination": f"file://{tmp_path}/", "prompt": PROMPT, "on_clear": "regenerate"}
    run = changing(lambda: how)
    first = run.try_once()
    how["prompt"] = prompt
    story()
    run.clear()
    second = run.try_once()
    left, bought, _ = story()
    assert left.startswith(f"Left behind request {first['request_id']} of an earlier try: ")
    assert f"It was bought, {cost(first)}. A retry" in left
    assert second["request_id"] in bought


@pytest.mark.parametrize("prompt", [PROMPT, f"{PROMPT} two"])
def test_abandoned_while_it_is_under_way(segmind, story, prompt):
    segmind.configure(inference_seconds=30)
    how = {"prompt": PROMPT, "on_clear": "regenerate"}
    run = changing(lambda: {"timeout": 0.1, "deferrable": False, **how})
    with pytest.raises(WaitTimeout):
        run.try_once()
    how["prompt"] = prompt
    run.clear()
    with pytest.raises(WaitTimeout):
        run.try_once()
    first, second = [entry.request_id for entry in segmind.ledger.submissions]
    _, abandoned, bought = story()
    assert abandoned.startswith(f"Abandoned request {first} of an earlier try: ")
    assert "goes on, and is billed. A retry " in abandoned
    assert second in bought


def test_left_behind_after_it_was_lost(segmind, story, later):
    segmind.configure(inference_seconds=1)
    run = video(timeout=0.1, deferrable=False)
    with pytest.raises(WaitTimeout):
        run.try_once()
    later(7200)
    segmind.add_faults("history:before:404*inf")
    with pytest.raises(AirflowFailException):
        run.try_once()
    story()
    segmind.configure(inference_seconds=0)
    run.clear()
    run.try_once()
    left, bought, _ = story()
    assert left.startswith(f"Left behind request {segmind.ledger.submissions[0].request_id} of an earlier")
    assert "billed if it completed. A retry " in left
    assert bought.startswith("Bought request")


def test_found_after_its_answer_was_lost(segmind, story):
    segmind.add_faults("submit:after:reset")
    result = video().try_once()
    (found,) = [line for line in story() if line.startswith("Found")]
    assert found.startswith(f"Found request {result['request_id']} in the account's history")
    assert "Nothing is bought. A retry takes up this request" in found


def test_each_line_of_a_step_says_what_a_retry_does(segmind, story, tmp_path):
    how = {"destination": f"file://{tmp_path}/", "on_clear": "reuse"}
    run = changing(lambda: how)
    run.try_once()
    for policy in ("reuse", "regenerate"):
        how["on_clear"] = policy
        run.clear()
        run.try_once()
    lines = [line for line in story() if not line.startswith("Done")]
    assert [line.split()[0] for line in lines] == ["Bought", "Reused", "Left", "Bought"]
    assert all(A_RETRY.search(line) for line in lines)


@pytest.mark.parametrize(
    ("now_wanted", "said"),
    [
        ({}, "goes on: a retry takes it up."),
        (
            {"on_clear": "regenerate"},
            "leaves it behind, and buys another one (the task was cleared, and on_clear is 'regenerate').",
        ),
        (
            {"prompt": f"{PROMPT} two"},
            "leaves it behind, and buys another one (the model or its parameters differ from those of the "
            "recorded request).",
        ),
        (
            {"prompt": f"{PROMPT} two", "on_stale_state": "fail"},
            "goes on: no retry takes it up. The model or its parameters differ",
        ),
        (
            {"steps": "{{ 1000 }}"},
            "goes on: a retry with the same parameters takes it up, unless on_clear is 'regenerate'.",
        ),
    ],
)
def test_an_error_before_the_purchase_says_what_becomes_of_the_one_before(
    segmind, tmp_path, now_wanted, said
):
    folder = tmp_path / "videos"
    segmind.configure(inference_seconds=30)
    how = {"timeout": 0.1, "deferrable": False, "destination": f"file://{folder}/"}
    run = changing(lambda: how)
    with pytest.raises(WaitTimeout):
        run.try_once()
    run.clear()
    how |= now_wanted
    # What is there can be read, and nothing be written.
    (folder / "elsewhere").write_text("no folder")
    how["destination"] = f"file://{folder}/elsewhere/"
    with pytest.raises(SegmindError) as caught:
        run.try_once()
    (bought,) = segmind.ledger.submissions
    assert f"Request {bought.request_id}, bought by an earlier try, " in caught.value.message
    assert said in caught.value.message


def test_an_error_after_a_lost_answer_says_what_becomes_of_it(segmind):
    how = {"deferrable": False, "timeout": 0.2}
    run = changing(lambda: how)
    segmind.add_faults("submit:before:reset")
    with pytest.raises(SubmitOutcomeUnknown):
        run.try_once()
    how["destination"] = "file:///proc/nowhere/"
    with pytest.raises(SegmindError, match="a retry looks for its request in the account's history"):
        run.try_once()
    how["on_clear"] = "regenerate"
    run.clear()
    with pytest.raises(SegmindError, match="a retry leaves it behind, and buys another one"):
        run.try_once()
