"""The sensor from the first look to its end, against the emulator over real sockets."""

from __future__ import annotations

import time

import pytest
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from airflow_ltx.emulator import FaultRule
from airflow_ltx.exceptions import AuthenticationFailed, RequestNotFound, SegmindError
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.sensors.segmind import SegmindRequestSensor
from runner import TaskRun
from segmind_service import BLOCKED_WORD, connection

PROMPT = "A lighthouse on a cliff at dusk, slow aerial shot moving towards the lantern"
GONE = FaultRule(endpoint="submit", when="after", action="fail:The GPU went away")
MODES = [{"deferrable": True}, {"deferrable": False}]


@pytest.fixture(autouse=True)
def _no_hold(monkeypatch):
    """The hold of early events is tested on its own; here it would only be waiting."""
    monkeypatch.setattr("airflow_ltx.triggers.early_event.LEAST_HOLD", 0.0)
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "-3")


def submit() -> dict:
    """The return value of a task that does not wait."""
    return TaskRun(
        lambda: LTXSubmitOperator(task_id="submit", prompt=PROMPT, wait_for_completion=False)
    ).try_once()


def sensor(request_id, **arguments) -> TaskRun:
    return TaskRun(
        lambda: SegmindRequestSensor(
            **{
                "task_id": "wait",
                "request_id": request_id,
                "poke_interval": 0.05,
                "timeout": 20,
                **arguments,
            }
        )
    )


@pytest.mark.parametrize("mode", MODES)
def test_the_return_value_of_the_submit_is_enough(segmind, mode):
    segmind.configure(inference_seconds=0.4)
    submitted = submit()
    run = sensor(submitted, **mode)
    result = run.try_once()
    assert set(result) == set(submitted) - {"video_url", "video_uri"}
    for known in ("request_id", "model", "submitted_at", "expires_at"):
        assert result[known] == submitted[known]
    assert (result["status"], result["uri"], result["reused"]) == ("COMPLETED", None, False)
    assert result["cost"] == pytest.approx(segmind.ledger.billed_total())
    assert result["seed"] is not None
    assert run.ti.xcom == {"request_id": submitted["request_id"], "output_url": result["output_url"]}
    assert run.links[-1] == result["output_url"]
    assert len(run.deferred) == (1 if mode["deferrable"] else 0)
    assert len(segmind.ledger.submissions) == 1


@pytest.mark.parametrize("mode", MODES)
def test_an_id_alone_is_enough(segmind, mode):
    request_id = submit()["request_id"]
    result = sensor(request_id, **mode).try_once()
    assert (result["request_id"], result["status"]) == (request_id, "COMPLETED")
    assert (result["model"], result["submitted_at"], result["expires_at"]) == (None, None, None)


def test_what_is_done_already_needs_no_triggerer(segmind):
    submitted = submit()
    segmind.advance(60)
    run = sensor(submitted)
    assert run.try_once()["status"] == "COMPLETED"
    assert run.deferred == []


def test_each_run_costs_nothing(segmind):
    submitted = submit()
    results = [sensor(submitted).try_once()["output_url"] for _ in range(3)]
    assert len(set(results)) == 1
    assert len(segmind.ledger.submissions) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_timeout_names_the_id_and_is_not_retried(segmind, mode):
    segmind.configure(inference_seconds=600)
    submitted = submit()
    with pytest.raises(AirflowSensorTimeout) as caught:
        sensor(submitted, timeout=0.3, **mode).try_once()
    told = str(caught.value)
    assert submitted["request_id"] in told
    assert "still running" in told
    assert "billed" in told
    assert "clear it to wait again" in told


@pytest.mark.parametrize("mode", MODES)
def test_soft_fail_skips_after_the_timeout(segmind, mode):
    segmind.configure(inference_seconds=600)
    with pytest.raises(AirflowSkipException):
        sensor(submit(), timeout=0.3, soft_fail=True, **mode).try_once()


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_request_fails_for_good_and_promises_no_new_one(segmind, mode):
    segmind.configure(inference_seconds=0.3)
    request = SegmindHook().submit("ltx-video", {"prompt": f"a {BLOCKED_WORD} scene"})
    with pytest.raises(AirflowFailException, match="moderation"):
        sensor(request.request_id, **mode).try_once()
    segmind.set_faults(GONE)
    request = SegmindHook().submit("ltx-video", {"prompt": PROMPT})
    with pytest.raises(AirflowFailException) as caught:
        sensor(request.request_id, **mode).try_once()
    assert request.request_id in str(caught.value)
    assert "A retry submits" not in str(caught.value)


@pytest.mark.parametrize("mode", MODES)
def test_soft_fail_skips_a_failed_request_and_says_which(segmind, mode):
    request = SegmindHook().submit("ltx-video", {"prompt": f"a {BLOCKED_WORD} scene"})
    with pytest.raises(AirflowSkipException):
        sensor(request.request_id, soft_fail=True, **mode).try_once()


@pytest.mark.parametrize("mode", MODES)
def test_an_unknown_id_may_be_a_matter_of_the_connection(segmind, mode):
    with pytest.raises(RequestNotFound, match="another workspace"):
        sensor("0123456789abcdef0123456789abcdef", **mode).try_once()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("known", [True, False])
def test_an_expired_request_is_read_in_the_history_or_fails_for_good(segmind, mode, known):
    submitted = submit()
    segmind.advance(3700)
    submitted["submitted_at"] = "2026-01-02T03:04:05.000+00:00"
    if known:
        assert sensor(submitted, **mode).try_once()["output_url"].startswith(segmind.base_url)
        return
    segmind.add_faults("history:before:404*inf")
    with pytest.raises(AirflowFailException, match="one hour"):
        sensor(submitted, **mode).try_once()


@pytest.mark.parametrize("mode", MODES)
def test_an_id_alone_is_found_in_the_history_when_the_service_has_forgotten_it(segmind, mode):
    request_id = submit()["request_id"]
    segmind.advance(3700)
    result = sensor(request_id, **mode).try_once()
    assert (result["request_id"], result["status"]) == (request_id, "COMPLETED")
    assert result["output_url"].startswith(segmind.base_url)


@pytest.mark.parametrize(
    "request_id", ["", "  ", None, 7, {"id": "x"}, ["a"], "../../v1/get-user-credits", "{'request_id': 'x'}"]
)
@pytest.mark.parametrize("mode", MODES)
def test_what_is_no_id_is_one_clear_error(segmind, request_id, mode):
    with pytest.raises(AirflowFailException, match="request_id is"):
        sensor(request_id, **mode).try_once()
    assert segmind.ledger.submissions == []


def test_a_key_that_never_worked_is_told_at_once(segmind, monkeypatch):
    submitted = submit()
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection(segmind.base_url, "SG_another"))
    with pytest.raises(AuthenticationFailed) as caught:
        sensor(submitted).try_once()
    assert "SG_another" not in str(caught.value)


def test_a_key_that_is_refused_for_a_while_does_not_end_the_poking(segmind):
    segmind.configure(inference_seconds=0.5)
    submitted = submit()
    segmind.set_faults(FaultRule(endpoint="status", when="before", action="401", skip=1, times=2))
    assert sensor(submitted, deferrable=False).try_once()["status"] == "COMPLETED"


def test_transient_errors_do_not_end_a_wait(segmind):
    segmind.configure(inference_seconds=0.3)
    submitted = submit()
    segmind.set_faults(FaultRule(endpoint="status", when="before", action="503", times=3))
    assert sensor(submitted, deferrable=False).try_once()["status"] == "COMPLETED"


def test_reschedule_mode_frees_the_worker_between_looks(segmind):
    segmind.configure(inference_seconds=600)
    run = sensor(submit(), deferrable=False, mode="reschedule")
    with pytest.raises(AirflowRescheduleException):
        run.try_once()


@pytest.mark.parametrize("flag", ["soft_fail", "never_fail"])
def test_a_missing_connection_is_named(segmind, flag):
    with pytest.raises(AirflowFailException, match="'nowhere'"):
        sensor("an-id", segmind_conn_id="nowhere").try_once()
    with pytest.raises(AirflowSkipException, match="'nowhere'"):
        sensor("an-id", segmind_conn_id="nowhere", **{flag: True}).try_once()


def test_a_triggerer_that_does_not_answer_costs_no_finished_video(segmind):
    segmind.configure(inference_seconds=0.3)
    submitted = submit()
    run = sensor(submitted)

    def late(deferral):
        segmind.advance(60)
        return TriggerFailureReason.TRIGGER_TIMEOUT.value

    assert run.try_with(late)["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("reason", "error", "said"),
    [
        (TriggerFailureReason.TRIGGER_TIMEOUT, AirflowSensorTimeout, "no triggerer finished the wait"),
        (TriggerFailureReason.TRIGGER_FAILURE, SegmindError, "package is installed where the triggerer runs"),
    ],
)
def test_a_triggerer_that_does_not_answer_is_named(segmind, reason, error, said):
    segmind.configure(inference_seconds=600)
    with pytest.raises(error, match=said):
        sensor(submit()).try_without_answer(reason.value)


def test_an_event_of_an_unknown_kind_fails_closed(segmind):
    with pytest.raises(SegmindError, match="does not understand"):
        sensor("an-id")._rendered({"ti": None}).execute_complete({"ti": None}, {"status": "cancelled"})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("flag", ["soft_fail", "never_fail"])
def test_a_skipped_timeout_names_the_request_and_the_bill(segmind, mode, flag):
    segmind.configure(inference_seconds=600)
    submitted = submit()
    with pytest.raises(AirflowSkipException) as caught:
        sensor(submitted, timeout=0.3, **{flag: True}, **mode).try_once()
    assert submitted["request_id"] in str(caught.value)
    assert "will be billed" in str(caught.value)


def test_a_request_that_cannot_be_seen_is_not_said_to_run(segmind):
    segmind.configure(inference_seconds=600)
    submitted = submit()
    segmind.set_faults(FaultRule(endpoint="status", when="before", action="503", times=None))
    with pytest.raises(AirflowSensorTimeout) as caught:
        sensor(submitted, timeout=0.3, deferrable=False).try_once()
    assert "was not seen to finish" in str(caught.value)
    assert "503" in str(caught.value)


def test_a_key_that_is_refused_until_the_timeout_is_named_and_retried(segmind):
    segmind.configure(inference_seconds=600)
    submitted = submit()
    segmind.set_faults(FaultRule(endpoint="status", when="before", action="401", skip=1, times=None))
    with pytest.raises(AuthenticationFailed, match="A retry looks again"):
        sensor(submitted, timeout=0.3, deferrable=False).try_once()


@pytest.mark.parametrize(
    "mode",
    [{"deferrable": True}, {"deferrable": False, "mode": "reschedule"}],
    ids=["deferrable", "reschedule"],
)
def test_one_look_at_a_fresh_request_does_not_hold_the_worker(segmind, mode):
    submitted = submit()
    segmind.set_faults(FaultRule(endpoint="status", when="before", action="404", times=1))
    begun = time.monotonic()
    run = sensor(submitted, **mode)
    if mode["deferrable"]:
        assert run.try_once()["status"] == "COMPLETED"
        assert len(run.deferred) == 1
    else:
        with pytest.raises(AirflowRescheduleException):
            run.try_once()
    assert time.monotonic() - begun < 10


def test_poking_logs_what_is_new_and_not_every_look(segmind, capsys):
    segmind.configure(inference_seconds=1)
    assert sensor(submit(), deferrable=False).try_once()["status"] == "COMPLETED"
    assert capsys.readouterr().out.count("the service says PROCESSING") == 1


@pytest.mark.parametrize("obstacle", ["503", "401"])
def test_a_silent_triggerer_is_named_beside_what_stands_in_the_way_now(segmind, obstacle):
    segmind.configure(inference_seconds=600)
    submitted = submit()
    segmind.set_faults(FaultRule(endpoint="status", when="before", action=obstacle, skip=1, times=None))
    with pytest.raises((AirflowSensorTimeout, AuthenticationFailed)) as caught:
        sensor(submitted).try_without_answer(TriggerFailureReason.TRIGGER_TIMEOUT.value)
    assert "no triggerer finished the wait" in str(caught.value)
    assert obstacle in str(caught.value)


@pytest.mark.parametrize("moment", [1.76e12, float("nan"), float("inf"), -1e18, 253402300799, "2026-13-01"])
def test_an_odd_time_of_submit_does_not_stand_in_the_way(segmind, moment):
    result = sensor({**submit(), "submitted_at": moment}).try_once()
    assert result["status"] == "COMPLETED"


@pytest.mark.parametrize("wrap", [lambda url: [url], lambda url: (url,), lambda url: {url: 1}, str.encode])
def test_what_is_no_id_is_quoted_without_its_signature(segmind, wrap):
    with pytest.raises(AirflowFailException) as caught:
        sensor(wrap("https://host/a.mp4?X-Amz-Signature=SECRETSIG")).try_once()
    assert "SECRETSIG" not in str(caught.value)


def test_several_requests_in_one_sensor_are_told_what_to_write(segmind):
    with pytest.raises(AirflowFailException, match=r"expand\(request_id="):
        sensor([submit(), submit()]).try_once()


def test_an_expired_request_names_the_missing_triggerer_too(segmind):
    segmind.configure(inference_seconds=600)
    submitted = {**submit(), "submitted_at": "2026-01-02T03:04:05+00:00"}

    def too_late(deferral):
        segmind.advance(3700)
        segmind.add_faults("history:before:404*inf")
        return TriggerFailureReason.TRIGGER_TIMEOUT.value

    with pytest.raises(AirflowFailException, match="no triggerer finished the wait") as caught:
        sensor(submitted).try_with(too_late)
    assert "one hour" in str(caught.value)
