"""The transfer from a request or URL that exists to the file, against the emulator over real sockets."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import httpx
import pytest
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import AirflowFailException
from complaints import second_of
from file_host import answer, running_file_host

from airflow_ltx.emulator import FaultRule
from airflow_ltx.exceptions import (
    AuthenticationFailed,
    DestinationError,
    DownloadFailed,
    RequestNotFound,
    WaitTimeout,
)
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator
from runner import TaskRun
from segmind_service import BLOCKED_WORD, KEY, OTHER_KEY, connection

PROMPT = "A lighthouse on a cliff at dusk, slow aerial shot moving towards the lantern"
MODES = [{"deferrable": True}, {"deferrable": False}]
SIGNATURE = "0123456789abcdef5ecret"

pytestmark = pytest.mark.usefixtures("no_hold")


def submit() -> dict:
    """The return value of a task that does not wait."""
    return TaskRun(
        lambda: LTXSubmitOperator(task_id="submit", prompt=PROMPT, wait_for_completion=False)
    ).try_once()


@pytest.fixture
def done(segmind) -> str:
    """The id of a request that is completed."""
    request_id = submit()["request_id"]
    segmind.advance(60)
    return request_id


@pytest.fixture
def transfer(segmind, tmp_path):
    def run(name="", **arguments) -> TaskRun:
        given = {
            "task_id": "copy",
            "destination": f"file://{tmp_path}/v/{name}",
            "poll_interval": 0.05,
            "timeout": 20,
            **arguments,
        }
        return TaskRun(lambda: SegmindToObjectStorageOperator(**given))

    return run


@pytest.fixture
def host():
    with running_file_host() as running:
        yield running


def content_at(uri: str) -> bytes:
    return Path(uri.removeprefix("file://")).read_bytes()


# --- Requests ---------------------------------------------------------------------------------------------


def test_a_request_that_is_done_is_landed_without_a_deferral_and_costs_nothing(
    segmind, transfer, done, tmp_path
):
    run = transfer(request_id=done)
    result = run.try_once()
    assert run.deferred == []
    assert list((tmp_path / "v").iterdir()) == [tmp_path / "v" / f"{done}.mp4"]
    content = content_at(result["uri"])
    assert content == httpx.get(result["output_url"]).content
    assert (result["bytes"], result["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert (result["request_id"], result["status"], result["reused"]) == (done, "COMPLETED", False)
    assert result["content_type"] == "video/mp4"
    assert result["cost"] == pytest.approx(segmind.ledger.billed_total())
    assert run.ti.xcom == {
        "request_id": done,
        "output_url": result["output_url"],
        "output_uri": result["uri"],
    }
    assert run.links[-1] == result["output_url"]
    assert len(segmind.ledger.submissions) == 1
    assert run.state.values == {}


@pytest.mark.parametrize("mode", MODES)
def test_a_request_that_is_running_is_waited_for(segmind, transfer, mode):
    segmind.configure(inference_seconds=0.4)
    submitted = submit()
    run = transfer(request_id=submitted, **mode)
    result = run.try_once()
    assert len(run.deferred) == (1 if mode["deferrable"] else 0)
    assert set(result) == set(submitted) - {"video_url", "video_uri"}
    for known in ("request_id", "model", "submitted_at", "expires_at"):
        assert result[known] == submitted[known]
    assert hashlib.sha256(content_at(result["uri"])).hexdigest() == result["sha256"]
    assert len(segmind.ledger.submissions) == 1


@pytest.mark.parametrize("mode", MODES)
def test_the_model_in_the_name_is_the_requests_or_the_one_that_is_given(segmind, transfer, mode, tmp_path):
    segmind.configure(inference_seconds=0.3)
    submitted, folder = submit(), tmp_path / "v"
    name = "{model}/{request_id}{ext}"
    result = transfer(name, request_id=submitted, **mode).try_once()
    assert result["uri"] == f"file://{folder}/ltx-video/{submitted['request_id']}.mp4"
    submitted = submit()
    result = transfer(name, request_id=submitted["request_id"], model="mine", **mode).try_once()
    assert result["uri"] == f"file://{folder}/mine/{submitted['request_id']}.mp4"
    assert result["model"] == "mine"


def test_each_of_several_files_is_landed_where_that_is_wanted(segmind, transfer):
    segmind.configure(outputs=3, result_shape="nested")
    run = transfer(request_id=submit(), land_all=True)
    result = run.try_once()
    contents = [content_at(file["uri"]) for file in result["files"]]
    assert [hashlib.sha256(each).hexdigest() for each in contents] == [f["sha256"] for f in result["files"]]
    assert len(set(contents)) == 3
    assert run.ti.xcom["output_uris"] == [file["uri"] for file in result["files"]]


def test_a_retry_leaves_the_same_file_as_it_is(segmind, transfer, done, tmp_path):
    first, file = transfer("clip.mp4", request_id=done).try_once(), tmp_path / "v" / "clip.mp4"
    inode = file.stat().st_ino
    again = transfer("clip.mp4", request_id=done).try_once()
    assert again == {**first, "completed_at": again["completed_at"]}
    assert file.stat().st_ino == inode


def test_somebody_elses_file_stays_and_no_retry_comes(segmind, transfer, done, tmp_path):
    file = tmp_path / "v" / "clip.mp4"
    file.parent.mkdir()
    file.write_bytes(b"somebody else's")
    with pytest.raises(AirflowFailException, match="is there already"):
        transfer("clip.mp4", request_id=done).try_once()
    assert file.read_bytes() == b"somebody else's"
    result = transfer("clip.mp4", request_id=done, if_exists="overwrite").try_once()
    assert hashlib.sha256(file.read_bytes()).hexdigest() == result["sha256"]


@pytest.mark.parametrize("mode", MODES)
def test_a_timeout_names_the_request_and_the_next_try_lands_it(segmind, transfer, mode):
    segmind.configure(inference_seconds=600)
    submitted = submit()
    run = transfer(request_id=submitted, timeout=0.3, **mode)
    with pytest.raises(WaitTimeout) as caught:
        run.try_once()
    for said in (submitted["request_id"], "still running", "buys nothing. A retry looks again."):
        assert said in str(caught.value)
    segmind.advance(600)
    assert run.try_once()["status"] == "COMPLETED"


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_request_fails_for_good_and_promises_no_new_one(segmind, transfer, mode):
    segmind.configure(inference_seconds=0.3)
    request = SegmindHook().submit("ltx-video", {"prompt": f"a {BLOCKED_WORD} scene"})
    with pytest.raises(AirflowFailException, match="moderation") as caught:
        transfer(request_id=request.request_id, **mode).try_once()
    assert "run what submitted the request to have another one" in str(caught.value)
    segmind.set_faults(FaultRule(endpoint="submit", when="after", action="fail:The GPU went away"))
    request = SegmindHook().submit("ltx-video", {"prompt": PROMPT})
    with pytest.raises(AirflowFailException) as caught:
        transfer(request_id=request.request_id, **mode).try_once()
    assert "A retry submits" not in str(caught.value)


def test_an_unknown_id_may_be_a_matter_of_the_connection(segmind, transfer):
    with pytest.raises(RequestNotFound, match="another workspace"):
        transfer(request_id="0123456789abcdef0123456789abcdef").try_once()


def test_another_workspaces_key_does_not_see_the_request(segmind, transfer, done, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection(segmind.base_url, OTHER_KEY))
    with pytest.raises(RequestNotFound, match="another workspace"):
        transfer(request_id=done).try_once()
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection(segmind.base_url, "SG_nobodys"))
    with pytest.raises(AuthenticationFailed) as caught:
        transfer(request_id=done).try_once()
    assert "SG_nobodys" not in str(caught.value)


@pytest.mark.parametrize("aged", [True, False], ids=["return value", "id alone"])
def test_what_the_service_has_forgotten_is_found_in_the_history(transfer, later, aged):
    submitted = submit()
    later(3700)
    result = transfer(request_id=submitted if aged else submitted["request_id"]).try_once()
    assert (result["request_id"], result["status"]) == (submitted["request_id"], "COMPLETED")
    assert hashlib.sha256(content_at(result["uri"])).hexdigest() == result["sha256"]


def test_what_nobody_knows_any_more_fails_for_good(segmind, transfer, later):
    submitted = submit()
    later(3700)
    segmind.add_faults("history:before:404*inf")
    with pytest.raises(AirflowFailException, match="keeps a record for one hour"):
        transfer(request_id=submitted).try_once()
    # Nobody knows its age, so it may be another account's.
    with pytest.raises(RequestNotFound, match="another workspace"):
        transfer(request_id=submitted["request_id"]).try_once()


def test_a_history_that_refuses_is_named_beside_the_unknown_id(segmind, transfer, later):
    request_id = submit()["request_id"]
    later(3700)
    segmind.add_faults("history:before:401*inf")
    with pytest.raises(RequestNotFound, match=r"unknown to the service.*Its history could not be asked"):
        transfer(request_id=request_id).try_once()


@pytest.mark.parametrize("given", [{"request_id": "an-id"}, {"url": "https://files.example/a.mp4"}])
def test_a_missing_connection_is_named(segmind, transfer, given):
    run = transfer(segmind_conn_id="nowhere", **given)
    with pytest.raises(AirflowFailException, match="'nowhere'"):
        run.try_once()
    assert "output_url" not in run.ti.xcom


@pytest.mark.parametrize("reason", list(TriggerFailureReason))
def test_a_triggerer_that_does_not_answer_costs_no_finished_file(segmind, transfer, reason):
    segmind.configure(inference_seconds=60)
    run = transfer(request_id=submit())

    def late(deferral):
        segmind.advance(90)
        return reason.value

    assert run.try_with(late)["status"] == "COMPLETED"


@pytest.mark.parametrize("given", [{"request_id": "None"}, {"request_id": None}, {"url": "None"}])
def test_what_is_mapped_and_wrong_fails_for_good_on_the_worker(segmind, tmp_path, given):
    (name, value), *_ = given.items()
    run = TaskRun(
        second_of(
            lambda: SegmindToObjectStorageOperator.partial(
                task_id="copy", destination=f"file://{tmp_path}/"
            ).expand(**{name: ["first", value]})
        )
    )
    with pytest.raises(AirflowFailException, match=f"{name} (is|and url)"):
        run.try_once()
    assert list(tmp_path.iterdir()) == []


# --- URLs -------------------------------------------------------------------------------------------------


def test_a_url_is_landed_under_its_own_name_and_its_host_gets_no_key(segmind, transfer, host, tmp_path):
    url = host.serve(answer(200, b"\0\0\0\x18ftypisom", content_type="video/mp4"), path="/a/harbour.mp4")
    run = transfer(url=url)
    result = run.try_once()
    assert run.deferred == []
    assert result["uri"] == f"file://{tmp_path}/v/harbour.mp4"
    assert content_at(result["uri"]) == b"\0\0\0\x18ftypisom"
    assert (result["output_url"], result["content_type"]) == (url, "video/mp4")
    unknown = ("request_id", "model", "cost", "seed", "submitted_at", "completed_at", "expires_at")
    assert {name: result[name] for name in unknown} == dict.fromkeys(unknown)
    assert run.ti.xcom == {"output_url": url, "output_uri": result["uri"]}
    assert run.links[-1] == url
    assert [KEY in json.dumps(request.headers) for request in host.requests] == [False]


def test_a_signed_url_is_asked_as_it_is_and_shown_nowhere(segmind, transfer, host, told):
    url = host.serve(answer(200, b"clip"), path="/clip.mp4")
    run = transfer(url=f"{url}?X-Amz-Signature={SIGNATURE}")
    result = run.try_once()
    assert [request.path for request in host.requests] == [f"/clip.mp4?X-Amz-Signature={SIGNATURE}"]
    assert (result["output_url"], result["outputs"]) == (url, [url])
    # The button would lead to a refusal.
    assert run.links[-1] == ""
    host.serve(answer(403), path="/clip.mp4")
    with pytest.raises(AirflowFailException) as caught:
        run.try_once()
    shown = json.dumps([result, run.ti.xcom, run.links, str(caught.value)]) + told()
    assert url in shown
    assert SIGNATURE not in shown


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_url_that_is_refused_is_not_retried_and_one_that_fails_is(
    segmind, transfer, host, status, tmp_path
):
    url = host.serve(answer(status), path="/clip.mp4")
    with pytest.raises(AirflowFailException, match=f"HTTP {status}.*The task is not retried"):
        transfer(url=url).try_once()
    assert list(tmp_path.rglob("*.mp4")) == []


def test_a_host_that_has_trouble_for_a_moment_is_asked_again(segmind, transfer, host):
    url = host.serve(answer(503), answer(200, b"clip"), path="/clip.mp4")
    assert content_at(transfer(url=url).try_once()["uri"]) == b"clip"
    assert len(host.requests) == 2


def test_a_page_in_place_of_a_file_is_no_file_and_is_retried(segmind, transfer, host, monkeypatch):
    monkeypatch.setattr("airflow_ltx.landing.land.LANDING_LIMIT", 0.5)
    url = host.serve(answer(200, b"<!doctype html><p>Sorry", content_type="text/html"), path="/clip.mp4")
    with pytest.raises(DownloadFailed, match="sent text/html"):
        transfer(url=url).try_once()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/clip.mp4", "https://10.0.0.1/clip.mp4", "https://169.254.169.254/latest"]
)
def test_only_hosts_that_the_connection_allows_are_asked(segmind, transfer, monkeypatch, url):
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection("https://93.184.215.14"))
    with pytest.raises(AirflowFailException, match=r"is not fetched.*Nothing was asked of it"):
        transfer(url=url).try_once()


def test_the_same_bytes_at_a_url_are_left_and_others_are_an_error(segmind, transfer, host, tmp_path):
    url = host.serve(answer(200, b"clip"), path="/clip.mp4")
    first, file = transfer(url=url).try_once(), tmp_path / "v" / "clip.mp4"
    inode = file.stat().st_ino
    assert transfer(url=f"{url}?signed=anew").try_once() == first
    assert file.stat().st_ino == inode
    host.serve(answer(200, b"another clip"), path="/clip.mp4")
    with pytest.raises(AirflowFailException, match="is there already") as caught:
        transfer(url=url).try_once()
    assert "request" not in str(caught.value)
    assert file.read_bytes() == b"clip"
    transfer(url=url, if_exists="overwrite").try_once()
    assert file.read_bytes() == b"another clip"


def test_what_cannot_be_written_names_the_url_and_is_retried(segmind, transfer, host, tmp_path):
    url = host.serve(answer(200, b"clip"), path="/clip.mp4")
    (tmp_path / "v").write_text("a file where the folder should be")
    with pytest.raises(DestinationError, match="A retry looks again"):
        transfer(url=url).try_once()
    assert host.requests == []
