"""Requests that fail at the service after they were taken: a picture it cannot fetch, a prompt it blocks."""

from __future__ import annotations

import pytest
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import AirflowSkipException
from complaints import PROMPT, SIGNED

from airflow_ltx.emulator import FaultRule
from airflow_ltx.exceptions import ContentBlocked, RequestFailed
from airflow_ltx.hooks.segmind import SegmindHook
from segmind_service import BLOCKED_WORD

MODES = [{"deferrable": True}, {"deferrable": False}]
TIMEOUT = TriggerFailureReason.TRIGGER_TIMEOUT.value


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("image", [SIGNED, f"{{{{ {SIGNED!r} }}}}"])
def test_a_picture_that_the_service_cannot_fetch_is_not_billed_and_a_retry_may_submit(bench, image, mode):
    run = bench.video(image=image, **mode)
    said = bench.complaints(run, final=False)
    (first, *_) = bench.segmind.ledger.submissions
    assert f"Request {first.request_id} failed: image URL download failed" in said
    assert "Failed requests are not billed. A retry submits a new request" in said
    assert len(bench.segmind.ledger.submissions) == run.tries == 3
    assert bench.bought() == []
    assert [purchase["phase"] for purchase in run.purchases] == ["failed"]


@pytest.mark.parametrize("mode", MODES)
def test_a_blocked_prompt_is_final_and_not_billed(bench, mode):
    said = bench.complaints(run := bench.video(prompt=f"{PROMPT} {BLOCKED_WORD}", **mode), final=True)
    assert "refused by the service's content moderation" in said
    assert "Failed requests are not billed" in said
    assert "change the prompt or the picture" in said
    # Each clearing by a person submits once; nothing else does.
    assert len(bench.segmind.ledger.submissions) == run.tries
    assert bench.bought() == []


@pytest.mark.parametrize("mode", MODES)
def test_a_failure_that_reports_a_cost_is_final_and_is_not_bought_again(bench, mode):
    body = {"status": "FAILED", "error": "The GPU went away", "metrics": {"cost": 0.05}}
    bench.segmind.set_faults(FaultRule("status", "before", "422", times=None, body=body))
    run = bench.video(**mode)
    said = bench.complaint(run, final=True)
    assert "The service reports a cost of $0.05" in said
    assert "clearing the task does" in said
    # A retry that comes all the same, as one that was scheduled already.
    bench.complaint(run, final=True)
    assert len(bench.segmind.ledger.submissions) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("parameters", "kind", "parts"),
    [
        ({"image": SIGNED}, RequestFailed, ["image URL download failed"]),
        ({"prompt": BLOCKED_WORD}, ContentBlocked, ["content moderation", "change the prompt"]),
    ],
)
def test_a_sensor_on_such_a_request_is_final_and_promises_no_new_one(bench, parameters, kind, parts, mode):
    request = SegmindHook().submit("ltx-video", {"prompt": PROMPT, **parameters})
    run = bench.sensor(request.request_id, **mode)
    said = bench.complaints(run, final=True)
    assert [part for part in [request.request_id, "not billed", *parts] if part not in said] == []
    assert "submits" not in said
    with pytest.raises(AirflowSkipException):
        bench.sensor(request.request_id, soft_fail=True, **mode).try_once()
    with pytest.raises(kind):
        SegmindHook().wait(request.request_id, 10, 0.05)
    assert len(bench.segmind.ledger.submissions) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_sensor_on_a_failure_with_a_cost_says_that_it_was_billed(bench, mode):
    body = {"status": "FAILED", "error": "The GPU went away", "metrics": {"cost": 0.05}}
    request = SegmindHook().submit("ltx-video", {"prompt": PROMPT})
    bench.segmind.set_faults(FaultRule("status", "before", "422", times=None, body=body))
    said = bench.complaints(bench.sensor(request.request_id, **mode), final=True)
    assert "The service reports a cost of $0.05" in said
    assert "clearing the task does" not in said


@pytest.mark.parametrize("kind", ["video", "sensor"])
def test_a_triggerer_that_is_not_running_is_named_in_one_line(bench, kind):
    bench.segmind.configure(inference_seconds=600)
    submitted = SegmindHook().submit("ltx-video", {"prompt": PROMPT}) if kind == "sensor" else None
    run = bench.sensor(submitted.request_id) if submitted else bench.video()
    once = run.try_once
    run.try_once = lambda: run.try_without_answer(TIMEOUT)  # type: ignore[method-assign]
    said = bench.complaint(run, final=kind == "sensor")
    (bought,) = bench.bought()
    assert f"Request {bought} " in said
    assert "no triggerer finished the wait in time. Check that one is running" in said
    assert "will be billed" in said
    bench.segmind.advance(600)
    assert once()["request_id"] == bought
    assert bench.bought() == [bought]


def test_a_triggerer_without_this_package_is_named_in_one_line(bench):
    bench.segmind.configure(inference_seconds=600)
    run = bench.video()
    run.try_once = lambda: run.try_without_answer(  # type: ignore[method-assign]
        TriggerFailureReason.TRIGGER_FAILURE.value
    )
    said = bench.complaint(run, final=False)
    assert "check that this package is installed where the triggerer runs" in said
    assert "A retry takes up this request and buys nothing" in said
    assert len(bench.bought()) == 1


@pytest.mark.parametrize("mode", [*MODES, {"deferrable": False, "mode": "reschedule"}])
def test_a_sensor_that_waited_too_long_is_one_line_too(bench, mode):
    bench.segmind.configure(inference_seconds=600)
    request = SegmindHook().submit("ltx-video", {"prompt": PROMPT})
    run = bench.sensor(request.request_id, timeout=0 if mode.get("mode") else 0.2, **mode)
    said = bench.complaint(run, final=True)
    assert request.request_id in said
    assert "billed" in said
    assert "clear it to wait again" in said
    assert bench.bought() == [request.request_id]


LATER = [
    ({"length": 98}, "length is 98"),
    ({"prompt": ""}, "prompt is ''"),
    ({"destination": "oss://bucket/"}, "has the scheme 'oss'"),
    ({"destination": "file:///proc/v/"}, "/proc/v"),
]


@pytest.mark.parametrize("legs", [1, 2], ids=["from the second leg on", "from the next try on"])
@pytest.mark.parametrize(("wrong", "part"), LATER)
def test_what_a_template_renders_wrongly_after_the_purchase_loses_nothing(bench, tmp_path, wrong, part, legs):
    bench.segmind.configure(inference_seconds=0.05 if legs == 1 else 600)
    run = bench.video(timeout=0.1 if legs == 2 else 20, destination=f"file://{tmp_path}/")
    made, build = [], run.build

    def rendered():
        operator = build()
        for name, value in wrong.items() if len(made) >= legs else ():
            setattr(operator, name, value)
        made.append(operator)
        return operator

    run.build = rendered
    for _ in range(legs):
        said = bench.complaint(run, final=False)
    (bought,) = bench.bought()
    assert part in said
    assert bought in said
    assert "takes it up" in said or "A retry takes up this request and buys nothing" in said
    run.build = build
    bench.segmind.advance(600)
    assert run.try_once()["request_id"] == bought
    assert bench.bought() == [bought]
