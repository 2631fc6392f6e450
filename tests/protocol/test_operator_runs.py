"""Operators from the first leg to the return value, against the emulator over real sockets."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException
from videos import files

from airflow_ltx.emulator import FaultRule
from airflow_ltx.exceptions import (
    ConfigurationError,
    DestinationError,
    DownloadFailed,
    InvalidParameter,
    RequestFailed,
    WaitTimeout,
)
from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.operators.segmind import SegmindSubmitOperator
from runner import TaskInstance, TaskRun, TaskState
from segmind_service import BLOCKED_WORD, KEY, connection

PROMPT = (
    "A lighthouse on a cliff at dusk, waves breaking far below, slow aerial shot moving towards the lantern "
    "as it lights up, warm light against a deep blue sky, cinematic, fine grain"
)

RETURN_KEYS = {
    "request_id",
    "model",
    "status",
    "output_url",
    "outputs",
    "uri",
    "bytes",
    "sha256",
    "content_type",
    "seed",
    "cost",
    "queue_time",
    "inference_time",
    "submitted_at",
    "completed_at",
    "expires_at",
    "reused",
    "video_url",
    "video_uri",
}


pytestmark = pytest.mark.usefixtures("no_hold")


@pytest.fixture
def video(segmind):
    """Builds runs of one LTX task."""

    def run(state=True, **arguments) -> TaskRun:
        def build() -> LTXSubmitOperator:
            return LTXSubmitOperator(
                **{"task_id": "t", "prompt": PROMPT, "poll_interval": 0.05, "timeout": 20, **arguments}
            )

        return TaskRun(build, state=TaskState() if state else None)

    return run


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_video_is_bought_once_and_landed_whole(segmind, video, tmp_path, deferrable):
    run = video(deferrable=deferrable, destination=f"file://{tmp_path}/{{{{ ds }}}}/", seed="7", length=97)
    result = run.try_once()
    assert set(result) == RETURN_KEYS
    (submission,) = segmind.ledger.submissions
    assert submission.body == {"prompt": PROMPT, "seed": 7, "length": 97}
    file = Path(result["uri"].removeprefix("file://"))
    assert file == tmp_path / "2026-01-02" / f"{result['request_id']}.mp4"
    content = file.read_bytes()
    assert content[4:8] == b"ftyp"
    assert (result["bytes"], result["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert files(file.parent) == [file]
    assert (result["status"], result["model"], result["seed"]) == ("COMPLETED", "ltx-video", 7)
    assert result["cost"] == pytest.approx(segmind.ledger.billed_total())
    assert result["reused"] is False
    assert result["video_url"] == result["output_url"] == result["outputs"][0]
    assert result["video_uri"] == result["uri"]
    submitted, completed, expires = (
        datetime.fromisoformat(result[key]) for key in ("submitted_at", "completed_at", "expires_at")
    )
    assert submitted.tzinfo == UTC
    assert submitted < completed < expires
    assert run.ti.xcom == {
        "request_id": result["request_id"],
        "output_url": result["output_url"],
        "output_uri": result["uri"],
        "video_url": result["output_url"],
        "video_uri": result["uri"],
    }
    assert len(run.deferred) == (1 if deferrable else 0)
    assert segmind.ledger.downloads_with_key() == 0


def test_both_paths_return_the_same(segmind, video, tmp_path):
    differing = {
        "request_id",
        "output_url",
        "outputs",
        "uri",
        "bytes",
        "sha256",
        "submitted_at",
        "completed_at",
        "expires_at",
        "video_url",
        "video_uri",
        "cost",
        "queue_time",
        "inference_time",
    }
    results = [
        video(deferrable=deferrable, destination=f"file://{tmp_path}/{deferrable}/", seed=7).try_once()
        for deferrable in (True, False)
    ]
    first, second = ({k: v for k, v in result.items() if k not in differing} for result in results)
    assert first == second
    assert [[type(v) for v in result.values()] for result in results[:1]] == [
        [type(v) for v in result.values()] for result in results[1:]
    ]


def test_without_a_destination_the_url_is_enough(segmind, video):
    result = video().try_once()
    assert result["output_url"].startswith(segmind.base_url)
    assert (result["uri"], result["sha256"], result["video_uri"]) == (None, None, None)
    assert segmind.ledger.downloads() == 0


def test_a_task_that_does_not_wait_returns_the_id(segmind, video):
    run = video(wait_for_completion=False)
    result = run.try_once()
    assert (result["status"], result["output_url"], run.deferred) == ("QUEUED", None, [])
    assert result["request_id"] == segmind.ledger.submissions[0].request_id == run.ti.xcom["request_id"]


@pytest.mark.parametrize("arguments", [{"length": "98"}, {"prompt": "  "}, {"steps": "many"}, {"cfg": 21}])
def test_a_rendered_value_out_of_range_fails_for_good_before_money_is_spent(segmind, video, arguments):
    # As templates and mapped values arrive: past the checks at parse time.
    rendered = {name: f"{{{{ '{value}' }}}}" for name, value in arguments.items()}
    with pytest.raises(AirflowFailException) as caught:
        video(**rendered).try_once()
    assert next(iter(arguments)) in str(caught.value)
    assert segmind.ledger.submissions == []


def test_templates_may_render_numbers_as_text(segmind, video):
    video(length="{{ 90 + 7 }}", cfg="{{ 3.5 }}", steps="{{ none }}").try_once()
    body = dict(segmind.ledger.submissions[0].body)
    assert body.pop("seed") >= 0
    assert body == {"prompt": PROMPT, "length": 97, "cfg": 3.5}


def test_a_short_prompt_is_bought_and_logs_the_advice(segmind, video, told):
    video(prompt="a cat").try_once()
    assert "LTX-Video needs long, descriptive prompts" in told()
    assert len(segmind.ledger.submissions) == 1


def test_a_failed_request_is_not_billed_and_a_retry_buys_anew(segmind, video):
    run = video(image="https://unreachable.invalid/first.png")
    for tries in (1, 2):
        with pytest.raises(RequestFailed, match="not billed"):
            run.try_once()
        assert len(segmind.ledger.submissions) == tries
    assert segmind.ledger.billed_total() == 0


def test_a_moderated_prompt_fails_for_good(segmind, video):
    with pytest.raises(AirflowFailException, match="content moderation"):
        video(prompt=f"{PROMPT} {BLOCKED_WORD}").try_once()
    assert segmind.ledger.billed_total() == 0


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_request_that_takes_too_long_is_taken_up_by_the_retry(segmind, video, deferrable):
    segmind.configure(inference_seconds=1.5)
    run = video(timeout=0.4, deferrable=deferrable)
    with pytest.raises(WaitTimeout) as caught:
        run.try_once()
    assert caught.value.request_id == segmind.ledger.submissions[0].request_id
    assert "will be billed" in str(caught.value)
    assert "A retry takes up this request and buys nothing" in str(caught.value)
    while True:
        try:
            result = run.try_once()
        except WaitTimeout:
            continue
        break
    assert result["request_id"] == segmind.ledger.submissions[0].request_id
    assert result["reused"] is True
    assert len(segmind.ledger.submissions) == 1


def test_without_task_state_the_log_and_the_error_say_that_a_retry_buys_again(segmind, video, told):
    segmind.configure(inference_seconds=5)
    run = video(state=False, timeout=0.2)
    with pytest.raises(WaitTimeout, match="a retry buys a new request"):
        run.try_once()
    assert "a retry buys a new request" in told()


@pytest.mark.parametrize("deferrable", [True, False])
def test_broken_looks_do_not_end_the_wait(segmind, video, deferrable):
    for fault in ("status:before:503*2", "status:before:reset*2", "status:before:garbage*2"):
        segmind.add_faults(fault)
    segmind.add_faults("status:before:html")
    assert video(deferrable=deferrable).try_once()["status"] == "COMPLETED"
    assert len(segmind.ledger.submissions) == 1


def test_a_broken_download_is_repeated(segmind, video, tmp_path):
    segmind.add_faults("download:before:truncate:1000")
    segmind.add_faults("download:before:503")
    result = video(destination=f"file://{tmp_path}/").try_once()
    assert Path(result["uri"].removeprefix("file://")).stat().st_size == result["bytes"] > 1000
    assert [path.name for path in files(tmp_path)] == [f"{result['request_id']}.mp4"]


def test_a_landing_that_fails_is_done_by_the_retry_without_buying(segmind, video, tmp_path, monkeypatch):
    from airflow_ltx.segmind.whole_file import WholeFile

    run = video(destination=f"file://{tmp_path}/")
    with monkeypatch.context() as patch:

        def full(self, chunk):
            if chunk.startswith(b"{"):
                return write(self, chunk)
            raise DestinationError("Writing failed (No space left on device).")

        write = WholeFile.write
        patch.setattr(WholeFile, "write", full)
        with pytest.raises(DestinationError) as caught:
            run.try_once()
    assert "is paid for: " in str(caught.value)
    assert "A retry takes up this request and buys nothing" in str(caught.value)
    result = run.try_once()
    assert Path(result["uri"].removeprefix("file://")).exists()
    assert len(segmind.ledger.submissions) == 1


def test_a_destination_that_cannot_be_written_costs_nothing(segmind, video, tmp_path):

    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    with pytest.raises(DestinationError, match="Nothing was sent or billed"):
        video(destination=f"file://{blocker}/videos/").try_once()
    assert segmind.ledger.submissions == []


def test_a_wrong_key_fails_for_good_without_the_key_in_the_message(segmind, video, monkeypatch, told):
    key = "SG_ffffffffffffffff"
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_WRONG", connection(segmind.base_url, key))
    with pytest.raises(AirflowFailException, match="API key") as caught:
        video(segmind_conn_id="segmind_wrong").try_once()
    assert key not in str(caught.value) + told()
    assert segmind.ledger.accepted() == []


def test_no_credits_fails_for_good(segmind, video):
    segmind.configure(credits=0.0)
    with pytest.raises(AirflowFailException, match="add credits"):
        video().try_once()
    assert segmind.ledger.accepted() == []


def test_any_other_model_goes_the_same_way(segmind, tmp_path):
    run = TaskRun(
        lambda: SegmindSubmitOperator(
            task_id="t",
            model="wan-2.2-t2v-fast",
            parameters={"prompt": PROMPT, "num_frames": 81},
            destination=f"file://{tmp_path}/clip.mp4",
            poll_interval=0.05,
        )
    )
    result = run.try_once()
    assert set(result) == RETURN_KEYS - {"video_url", "video_uri"}
    assert (tmp_path / "clip.mp4").stat().st_size == result["bytes"]
    assert segmind.ledger.submissions[0].body == {"prompt": PROMPT, "num_frames": 81}


def test_the_key_is_in_nothing_that_is_stored_or_logged(segmind, video, tmp_path, told):
    run = video(destination=f"file://{tmp_path}/")
    result = run.try_once()
    stored = [
        repr(run.deferred[0].trigger.serialize()),
        repr(run.events),
        repr(run.state.values),
        repr(run.ti.xcom),
        repr(result),
        told(),
        repr(vars(run.build())),
    ]
    assert all(KEY not in text for text in stored)


def test_on_kill_says_that_nothing_is_cancelled(segmind, video, told):
    operator = video().build()
    operator.on_kill()
    assert told() == ""
    run = video(wait_for_completion=False)
    made = []
    build = run.build
    run.build = lambda: made.append(build()) or made[-1]
    result = run.try_once()
    made[-1].on_kill()
    assert f"request {result['request_id']} is under way" in told()
    assert "no way to cancel" in told()


def test_on_kill_says_of_a_request_that_is_over_that_it_is(segmind, video, told, monkeypatch, tmp_path):
    run = video(destination=f"file://{tmp_path}/", sidecar=True)
    result = run.try_once()
    run.clear()
    made = []
    build = run.build
    run.build = lambda: made.append(build()) or made[-1]

    def ended(*arguments, **options):
        made[-1].on_kill()
        raise KeyboardInterrupt

    monkeypatch.setattr("airflow_ltx.operators._landing.keep_sidecar", ended)
    with pytest.raises(KeyboardInterrupt):
        run.try_once()
    assert f"The task was ended while request {result['request_id']} was over already" in told()
    assert "is under way" not in told()


def test_xcoms_that_cannot_be_pushed_do_not_cost_a_second_video(segmind, video, monkeypatch, told):
    def broken(self, key, value):
        raise ConnectionError("the api-server is away")

    monkeypatch.setattr(TaskInstance, "xcom_push", broken)
    result = video(state=False).try_once()
    assert result["status"] == "COMPLETED"
    assert f"Bought request {result['request_id']}" in told()
    assert len(segmind.ledger.submissions) == 1


def impatient(video, segmind, **arguments):
    """A run whose first try bought a request and gave up waiting for it."""
    segmind.configure(inference_seconds=0.6)
    run = video(timeout=0.1, deferrable=False, **arguments)
    with pytest.raises(WaitTimeout):
        run.try_once()
    return run, segmind.ledger.submissions[0].request_id


def test_a_retry_whose_destination_broke_names_what_was_bought_and_may_be_retried(segmind, video, tmp_path):
    folder = tmp_path / "videos"
    run, request_id = impatient(video, segmind, destination=f"file://{folder}/")
    shutil.rmtree(folder)
    folder.write_text("not a folder any more")
    with pytest.raises(DestinationError, match=f"{request_id}, bought by an earlier try, goes on"):
        run.try_once()
    folder.unlink()
    time.sleep(0.6)
    assert run.try_once()["request_id"] == request_id
    assert len(segmind.ledger.submissions) == 1


def test_a_retry_whose_connection_is_missing_may_be_retried(segmind, video, monkeypatch):
    run, request_id = impatient(video, segmind)
    with monkeypatch.context() as patch:
        patch.delenv("AIRFLOW_CONN_SEGMIND_DEFAULT")
        with pytest.raises(ConfigurationError, match=request_id):
            run.try_once()
    time.sleep(0.6)
    assert run.try_once()["request_id"] == request_id


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_refused_key_does_not_end_the_wait_for_a_paid_request(segmind, video, deferrable):
    segmind.add_faults("status:before:401*3", "status:before:403*2")
    assert video(deferrable=deferrable).try_once()["status"] == "COMPLETED"


def test_a_refused_key_on_a_retry_does_not_end_the_wait_either(segmind, video):
    run, request_id = impatient(video, segmind)
    segmind.add_faults("status:before:401*2")
    run.build = lambda: LTXSubmitOperator(task_id="t", prompt=PROMPT, poll_interval=0.05, timeout=20)
    assert run.try_once()["request_id"] == request_id


def test_the_url_is_published_before_the_landing(segmind, video, tmp_path):
    segmind.add_faults("download:before:404*inf")
    run = video(destination=f"file://{tmp_path}/")
    with pytest.raises(DownloadFailed, match="A retry takes up this request and buys nothing"):
        run.try_once()
    assert run.ti.xcom["video_url"] == run.ti.xcom["output_url"]
    assert "video_uri" not in run.ti.xcom


def test_a_gateways_failed_is_not_the_requests(segmind, video):
    body = '{"status": "failed", "message": "upstream unavailable"}'
    segmind.add_faults(FaultRule("status", "before", "503", times=2, body=body))
    assert video().try_once()["status"] == "COMPLETED"
    assert len(segmind.ledger.submissions) == 1


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_gateways_404_does_not_end_a_wait(segmind, video, monkeypatch, deferrable):
    monkeypatch.setattr("airflow_ltx.segmind.polling.YOUNG", 0.0)
    segmind.add_faults("status:before:html:404*2", "result:before:html:404*1")
    assert video(deferrable=deferrable).try_once()["status"] == "COMPLETED"
    assert len(segmind.ledger.submissions) == 1


def test_arguments_of_the_base_operator_are_not_silently_ignored():
    with pytest.raises(InvalidParameter, match="belong to SegmindSubmitOperator"):
        LTXSubmitOperator(task_id="t", prompt=PROMPT, parameters={"length": 129})


def test_a_host_that_speaks_plain_http_is_told_at_once(segmind, video, monkeypatch):
    host = segmind.base_url.removeprefix("http://")
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection(host))
    with pytest.raises(AirflowFailException, match="write http:// in front of the connection's host"):
        video().try_once()


def test_a_service_that_goes_away_while_waiting_is_not_said_to_have_billed_nothing(segmind, video, told):
    segmind.configure(inference_seconds=30)
    run = video(timeout=0.5)
    segmind.add_faults("status:before:reset*inf")
    with pytest.raises(WaitTimeout, match="will be billed") as caught:
        run.try_once()
    assert "nothing is billed" not in str(caught.value) + told()


def test_a_submit_whose_return_value_was_lost_is_named_and_taken_up(segmind, video, monkeypatch):
    run = video(wait_for_completion=False)
    request_id = run.try_once()["request_id"]
    good = os.environ["AIRFLOW_CONN_SEGMIND_DEFAULT"]
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", '{"conn_type": "segmind"}')
    with pytest.raises(ConfigurationError, match=request_id):
        run.try_once()
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", good)
    assert run.try_once()["request_id"] == request_id
    assert len(segmind.ledger.submissions) == 1
