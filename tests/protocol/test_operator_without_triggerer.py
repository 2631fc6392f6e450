"""A triggerer that is down, full, or lacks the package: what was bought is still collected or named."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout

from airflow_ltx.exceptions import WaitTimeout
from airflow_ltx.operators.ltx import LTXSubmitOperator
from runner import TaskRun, TaskState

PROMPT = "A lighthouse on a cliff at dusk, slow aerial shot moving towards the lantern"
TIMEOUT = TriggerFailureReason.TRIGGER_TIMEOUT.value
FAILURE = TriggerFailureReason.TRIGGER_FAILURE.value


def video(state=True, **arguments) -> TaskRun:
    return TaskRun(
        lambda: LTXSubmitOperator(task_id="t", prompt=PROMPT, **arguments),
        state=TaskState() if state else None,
    )


@pytest.mark.parametrize("state", [True, False])
@pytest.mark.parametrize("reason", [TIMEOUT, FAILURE])
def test_a_video_that_is_done_is_collected_without_it(segmind, tmp_path, state, reason):
    run = video(state, destination=f"file://{tmp_path}/")

    def too_late(deferral):
        segmind.advance(1900)
        return reason

    result = run.try_with(too_late)
    assert Path(result["uri"].removeprefix("file://")).stat().st_size == result["bytes"]
    assert run.links[-1] == result["video_url"]
    assert len(segmind.ledger.submissions) == 1


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (TIMEOUT, "no triggerer finished the wait in time. Check that one is running"),
        (FAILURE, "check that this package is installed where the triggerer runs"),
    ],
)
def test_a_request_that_still_runs_is_named_and_a_retry_takes_it_up(segmind, reason, said):
    segmind.configure(inference_seconds=600)
    run = video()
    with pytest.raises(WaitTimeout) as caught:
        run.try_without_answer(reason)
    (submission,) = segmind.ledger.submissions
    assert submission.request_id in str(caught.value)
    assert said in str(caught.value)
    assert "A retry takes up this request and buys nothing" in str(caught.value)
    segmind.advance(600)
    assert run.try_once()["reused"] is True
    assert len(segmind.ledger.submissions) == 1


def test_without_a_record_the_error_says_that_a_retry_buys(segmind):
    segmind.configure(inference_seconds=600)
    with pytest.raises(WaitTimeout, match="a retry buys a new request"):
        video(state=False).try_without_answer(TIMEOUT)


def test_without_a_record_nobody_is_told_a_wrong_age(segmind, later):
    segmind.configure(inference_seconds=10000)

    def too_late(deferral):
        later(1800)
        return TIMEOUT

    with pytest.raises(WaitTimeout) as caught:
        video(state=False).try_with(too_late)
    assert "is still running" in caught.value.message
    assert "after its submit" not in caught.value.message
    assert "until about" not in caught.value.message


def test_without_a_record_a_video_of_any_age_is_collected(segmind, later):
    def too_late(deferral):
        later(4000)
        return TIMEOUT

    run = video(state=False)
    result = run.try_with(too_late)
    assert (result["status"], result["submitted_at"]) == ("COMPLETED", None)
    assert len(segmind.ledger.submissions) == 1


@pytest.mark.parametrize(("reason", "error"), [(TIMEOUT, TaskDeferralTimeout), (FAILURE, TaskDeferralError)])
def test_if_nobody_remembers_the_request_the_error_is_airflows(segmind, reason, error):
    def forgetful(deferral):
        run.ti.xcom.clear()
        return reason

    run = video(state=False)
    with pytest.raises(error):
        run.try_with(forgetful)
