"""What a later try makes of what an earlier one bought: taken up, returned, or left behind by name."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import AirflowFailException
from videos import PROMPT, changing, files, video, videos

from airflow_ltx.durability.policies import CHOICES
from airflow_ltx.emulator import FaultRule, results
from airflow_ltx.exceptions import (
    DestinationError,
    RecordUnavailable,
    RequestFailed,
    RequestNotFound,
    SegmindError,
    SubmitOutcomeUnknown,
    WaitTimeout,
)
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.landing.local_place import LocalPlace
from airflow_ltx.operators.segmind import SegmindSubmitOperator
from runner import TaskRun, TaskState
from segmind_service import OTHER_KEY, connection

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")


class Killed(BaseException):
    """What ends a worker at once."""


def killed(deferral):
    raise Killed


def ids(segmind):
    return [entry.request_id for entry in segmind.ledger.submissions]


def test_a_worker_that_dies_after_the_submit_is_followed_by_one_that_takes_up_the_request(
    segmind, monkeypatch
):
    class Killed(BaseException):
        pass

    run = video()
    with monkeypatch.context() as patch:
        patch.setattr(SegmindSubmitOperator, "_wait", lambda *args: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            run.try_once()
    result = run.try_once()
    assert ids(segmind) == [result["request_id"]]


# --- Clearing -----------------------------------------------------------------------------------------------


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


# --- Other parameters ---------------------------------------------------------------------------------------


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


# --- Seeds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [None, -1, "-1"])
def test_a_seed_is_drawn_sent_recorded_and_returned(segmind, seed):
    run = video(seed=seed)
    result = run.try_once()
    sent = segmind.ledger.submissions[0].body["seed"]
    assert 0 <= sent < 2**31
    assert sent == result["seed"] == run.purchases[0]["seed"]
    assert video(seed=seed).try_once()["seed"] != sent


def test_an_authors_seed_is_sent_as_it_is(segmind):
    assert video(seed=7).try_once()["seed"] == segmind.ledger.submissions[0].body["seed"] == 7


def test_what_is_bought_after_a_failure_has_the_same_seed(segmind):
    segmind.add_faults("submit:after:fail")
    run = video()
    with pytest.raises(RequestFailed, match="A retry submits a new request"):
        run.try_once()
    run.try_once()
    first, second = segmind.ledger.submissions
    assert first.body == second.body


# --- Expiry -------------------------------------------------------------------------------------------------


@pytest.fixture
def late(later):
    """The task's first try gave up waiting; the next one comes when the record is gone."""

    def wait(run: TaskRun, seconds: float = 7200) -> None:
        with pytest.raises(WaitTimeout):
            run.try_once()
        later(seconds)

    return wait


@pytest.fixture
def slow(segmind):
    segmind.configure(inference_seconds=1)
    return segmind


def test_a_record_that_expired_is_read_in_the_history_and_landed(slow, late, tmp_path):
    run = video(timeout=0.1, deferrable=False, destination=f"file://{tmp_path}/")
    late(run)
    result = run.try_once()
    assert ids(slow) == [result["request_id"]]
    assert [path.stat().st_size for path in files(tmp_path)] == [result["bytes"]]
    assert result["cost"] == pytest.approx(slow.ledger.billed_total())


def test_a_history_that_cannot_be_read_is_tried_again(slow, late):
    run = video(timeout=0.1, deferrable=False)
    late(run)
    slow.add_faults("history:before:401")
    with pytest.raises(Exception, match="A retry takes up this request") as caught:
        run.try_once()
    assert not isinstance(caught.value, AirflowFailException)
    assert run.try_once()["request_id"] == ids(slow)[0]


def test_what_nobody_knows_any_more_is_never_bought_again_silently(slow, late):
    run = video(timeout=0.1, deferrable=False)
    late(run)
    slow.add_faults("history:before:404*inf")
    for said in ("clearing the task does", "nothing can be collected"):
        with pytest.raises(AirflowFailException, match=said):
            run.try_once()
    assert len(slow.ledger.submissions) == 1
    run.clear()
    slow.configure(inference_seconds=0)
    assert run.try_once()["reused"] is False


@pytest.fixture
def lost(slow, late, monkeypatch):
    """A task that gave its request up as lost: the connection had another workspace's key for a while."""
    run = video(timeout=0.1, deferrable=False)
    late(run)
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection(slow.base_url, OTHER_KEY))
        with pytest.raises(AirflowFailException, match="clearing the task does"):
            run.try_once()
    assert run.purchases[0]["phase"] == "lost"
    return run


def test_what_was_lost_for_a_while_is_collected_and_not_bought_again_by_clearing(lost, slow, told):
    with pytest.raises(AirflowFailException, match="nothing can be collected"):
        lost.try_once()
    lost.clear()
    result = lost.try_once()
    assert ids(slow) == [result["request_id"]]
    assert (result["reused"], result["status"]) == (True, "COMPLETED")
    assert f"Reattached to request {ids(slow)[0]}" in told()


def test_what_is_lost_for_good_is_named_when_a_person_has_another_one_bought(lost, slow, told):
    slow.add_faults("history:before:404*inf")
    slow.configure(inference_seconds=0)
    lost.clear()
    assert lost.try_once()["request_id"] == ids(slow)[1]
    said = told()
    assert f"Left behind request {ids(slow)[0]} of an earlier try" in said
    assert "another look found nothing of it" in said
    assert "billed if it completed" in said


def test_a_lost_request_that_cannot_be_looked_for_is_not_bought_again(lost, slow):
    slow.add_faults("history:before:401*2")
    lost.clear()
    with pytest.raises(SegmindError, match="A retry takes up this request and buys nothing"):
        lost.try_once()
    assert lost.try_once()["request_id"] == ids(slow)[0]
    assert len(ids(slow)) == 1


def test_a_try_that_dies_while_it_looks_again_is_followed_by_one_that_looks_again(lost, slow, monkeypatch):
    lost.clear()
    with monkeypatch.context() as patch:
        patch.setattr("airflow_ltx.operators._finish.still_gone", lambda *args: killed(None))
        with pytest.raises(Killed):
            lost.try_once()
    assert lost.try_once()["request_id"] == ids(slow)[0]
    assert len(ids(slow)) == 1


def test_a_url_that_the_history_does_not_tell_yet_is_waited_for_an_hour(slow, late, later):
    run = video(timeout=0.1, deferrable=False)
    late(run, 3700)
    slow.configure(record_lag_seconds=6000)
    with pytest.raises(RequestNotFound, match=r"no URL yet.*A retry takes up this request"):
        run.try_once()
    later(3000)
    assert run.try_once()["request_id"] == ids(slow)[0]


def test_a_url_that_the_history_never_tells_is_lost(slow, late, later):
    run = video(timeout=0.1, deferrable=False)
    late(run, 7300)
    slow.configure(record_lag_seconds=1e6)
    with pytest.raises(AirflowFailException, match="clearing the task does"):
        run.try_once()


def test_another_workspaces_key_is_named(slow, late, monkeypatch):
    run = video(timeout=0.1, deferrable=False)
    late(run, 300)
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection(slow.base_url, OTHER_KEY))
    with pytest.raises(RequestNotFound, match="another workspace or API key"):
        run.try_once()
    assert len(slow.ledger.submissions) == 1


# --- Stores -------------------------------------------------------------------------------------------------


def broken(self, *args, **options):
    raise ConnectionError("the api-server is away")


def test_what_cannot_be_remembered_is_not_bought(segmind, monkeypatch):
    run = video()
    with monkeypatch.context() as patch:
        patch.setattr(TaskState, "set", broken)
        with pytest.raises(RecordUnavailable, match="Nothing was sent or billed"):
            run.try_once()
    assert segmind.ledger.submissions == []
    run.try_once()


def test_an_intent_that_only_one_place_took_is_withdrawn(segmind, tmp_path, monkeypatch):
    run = video(destination=f"file://{tmp_path}/", timeout=0.5)

    def full(self, path, *content):
        raise DestinationError(f"Writing {path} failed (No space left on device).")

    with monkeypatch.context() as patch:
        patch.setattr(LocalPlace, "write", full)
        with pytest.raises(RecordUnavailable, match="No space left"):
            run.try_once()
    assert [purchase["phase"] for purchase in run.purchases] == ["failed"]
    assert segmind.ledger.submissions == []
    assert run.try_once()["reused"] is False


def test_another_submit_that_cannot_be_recorded_keeps_the_lost_one_on_record(segmind, tmp_path, monkeypatch):
    run = video(
        destination=f"file://{tmp_path}/", timeout=0.3, deferrable=False, on_orphaned_intent="resubmit"
    )
    segmind.add_faults("submit:after:reset")
    segmind.configure(history_lag_seconds=1000)
    room, write = iter([True, False]), LocalPlace.write

    def second_is_full(self, path, *content):
        if next(room, True):
            return write(self, path, *content)
        raise DestinationError(f"Writing {path} failed (No space left on device).")

    monkeypatch.setattr(LocalPlace, "write", second_is_full)
    with pytest.raises(RecordUnavailable, match="No space left"):
        run.try_once()
    segmind.configure(history_lag_seconds=0)
    assert run.try_once()["request_id"] == ids(segmind)[0]
    assert len(segmind.ledger.submissions) == 1


def test_a_refused_regeneration_leaves_what_it_was_to_replace(segmind, tmp_path):
    how = {"on_clear": "regenerate"}
    run = changing(lambda: {"destination": f"file://{tmp_path}/", **how})
    first = run.try_once()
    run.clear()
    segmind.add_faults("submit:before:402*2")
    for _ in range(2):
        with pytest.raises(AirflowFailException, match="Nothing was billed"):
            run.try_once()
    how["on_clear"] = "reuse"
    run.clear()
    assert run.try_once()["request_id"] == first["request_id"]
    assert len(segmind.ledger.submissions) == 1


@pytest.fixture
def regenerated(segmind, tmp_path):
    """Clears a task that has its video, to have another one; tells its arguments and what it has."""

    def clear(**arguments):
        how = {"destination": f"file://{tmp_path}/", "on_clear": "regenerate", "timeout": 0.5, **arguments}
        run = changing(lambda: how)
        first = run.try_once()
        run.clear()
        return run, how, first

    return clear


def dies_before_the_submit(run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(SegmindHook, "submit", lambda *args, **options: killed(None))
        with pytest.raises(Killed):
            run.try_once()


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_regeneration_that_never_was_leaves_the_video_that_there_is(
    segmind, regenerated, monkeypatch, told, deferrable
):
    run, how, first = regenerated(deferrable=deferrable)
    dies_before_the_submit(run, monkeypatch)
    with pytest.raises(SubmitOutcomeUnknown, match="nothing was bought in its place"):
        run.try_once()
    how["on_clear"] = "reuse"
    for _ in range(2):
        run.clear()
        assert run.try_once() == {**first, "reused": True}
        assert run.ti.xcom["request_id"] == first["request_id"]
    assert ids(segmind) == [first["request_id"]]
    assert f"reused the result of request {first['request_id']}" in told()


def test_a_regeneration_that_was_bought_after_all_is_found_before_the_video_that_there_is(
    segmind, regenerated
):
    run, how, _ = regenerated()
    segmind.add_faults("submit:after:reset")
    segmind.configure(history_lag_seconds=1000)
    with pytest.raises(SubmitOutcomeUnknown):
        run.try_once()
    how["on_clear"] = "reuse"
    segmind.configure(history_lag_seconds=0)
    run.clear()
    assert run.try_once()["request_id"] == ids(segmind)[1]
    assert len(ids(segmind)) == 2


def test_a_regeneration_that_failed_leaves_the_video_that_there_is(segmind, regenerated):
    run, how, first = regenerated()
    segmind.add_faults("submit:after:fail")
    with pytest.raises(RequestFailed):
        run.try_once()
    how["on_clear"] = "reuse"
    run.clear()
    assert run.try_once() == {**first, "reused": True}
    assert len(ids(segmind)) == 2


def test_a_retry_of_a_regeneration_that_failed_regenerates(segmind, regenerated):
    run, _, _ = regenerated()
    segmind.add_faults("submit:after:fail")
    with pytest.raises(RequestFailed):
        run.try_once()
    assert run.try_once()["request_id"] == ids(segmind)[2]
    (purchase,) = run.purchases
    assert purchase["instead_of"] is None


def test_what_was_to_be_replaced_and_is_not_there_any_more_is_not_returned(segmind, regenerated, monkeypatch):
    run, how, first = regenerated()
    dies_before_the_submit(run, monkeypatch)
    Path(first["uri"].removeprefix("file://")).unlink()
    how["on_clear"] = "reuse"
    run.clear()
    with pytest.raises(SubmitOutcomeUnknown, match="nothing was bought in its place"):
        run.try_once()


def test_a_retry_of_a_refused_regeneration_regenerates(segmind, tmp_path):
    run = video(destination=f"file://{tmp_path}/", on_clear="regenerate")
    run.try_once()
    run.clear()
    segmind.add_faults("submit:before:402")
    with pytest.raises(AirflowFailException):
        run.try_once()
    assert run.try_once()["request_id"] == ids(segmind)[1]


def test_a_refused_purchase_of_other_parameters_does_not_hide_what_is_under_way(segmind, later):
    """Whatever stands in the way of a later try: it must be retried, since something is paid for."""
    segmind.configure(inference_seconds=10)
    how = {"prompt": f"{PROMPT} one"}
    run = changing(lambda: {"timeout": 0.2, "deferrable": False, **how})
    with pytest.raises(WaitTimeout):
        run.try_once()
    how["prompt"] = f"{PROMPT} two"
    segmind.add_faults("submit:before:402")
    with pytest.raises(AirflowFailException, match="Nothing was billed"):
        run.try_once()
    how |= {"prompt": f"{PROMPT} one", "on_clear": "{{ 'forget' }}"}
    with pytest.raises(SegmindError, match="on_clear") as caught:
        run.try_once()
    assert f"Request {ids(segmind)[0]}, bought by an earlier try, goes on" in str(caught.value)
    del how["on_clear"]
    later(30)
    assert run.try_once()["request_id"] == ids(segmind)[0]
    assert len(ids(segmind)) == 1


def test_a_retry_of_a_refused_purchase_is_as_free_as_the_one_that_was_refused(segmind):
    """A person who cleared a green task may change its parameters, whatever on_stale_state says."""
    how = {"prompt": f"{PROMPT} one"}
    run = changing(lambda: {"on_stale_state": "fail", **how})
    run.try_once()
    run.clear()
    how["prompt"] = f"{PROMPT} two"
    segmind.add_faults("submit:before:402")
    with pytest.raises(AirflowFailException, match="Nothing was billed"):
        run.try_once()
    assert run.try_once()["request_id"] == ids(segmind)[1]


@pytest.mark.parametrize("fault", ["history:before:404*inf", "download:before:404*inf"])
def test_a_file_that_is_still_where_it_was_put_is_returned_whatever_went_wrong_elsewhere(
    segmind, tmp_path, later, fault
):
    how = {"destination": f"file://{tmp_path}/a/"}
    run = changing(lambda: how)
    first = run.try_once()
    later(4000)
    how["destination"] = f"file://{tmp_path}/b/"
    segmind.add_faults(fault)
    run.clear()
    with pytest.raises((SegmindError, AirflowFailException)):
        run.try_once()
    how["destination"] = f"file://{tmp_path}/a/"
    run.clear()
    again = run.try_once()
    assert (again["uri"], again["reused"]) == (first["uri"], True)
    assert len(segmind.ledger.submissions) == 1


def test_a_destination_that_broke_after_the_purchase_does_not_hide_it(segmind, tmp_path):
    run = video(state=False, destination=f"file://{tmp_path}/v/out.mp4")
    segmind.add_faults("status:before:503*inf")
    with pytest.raises(Killed):
        run.try_with(killed)
    (tmp_path / "v" / "out.mp4").mkdir()
    with pytest.raises(DestinationError) as caught:
        run.try_once()
    assert caught.value.retryable
    assert f"Request {ids(segmind)[0]}, bought by an earlier try, goes on" in str(caught.value)
    assert "Nothing was sent or billed" not in str(caught.value)


def test_a_record_that_cannot_be_read_is_not_taken_for_none(segmind, monkeypatch):
    run = video()
    monkeypatch.setattr(TaskState, "get", broken)
    with pytest.raises(RecordUnavailable, match=r"the api-server is away.*goes on from there"):
        run.try_once()
    assert segmind.ledger.submissions == []


def failing_after(good):
    """A task state that takes that many writes, and then none."""
    write, allowed = TaskState.set, iter(range(good))

    def set_(self, key, value, **options):
        if next(allowed, None) is None:
            raise ConnectionError("the api-server is away")
        write(self, key, value, **options)

    return set_


def test_a_purchase_that_could_not_be_recorded_is_found_by_its_intent(segmind, later, monkeypatch, told):
    segmind.configure(inference_seconds=30)
    run = video(timeout=0.1, deferrable=False)
    with monkeypatch.context() as patch:
        patch.setattr(TaskState, "set", failing_after(1))
        with pytest.raises(WaitTimeout, match="a retry looks for it in the account's history"):
            run.try_once()
    later(40)
    assert ids(segmind) == [run.try_once()["request_id"]]


def test_a_record_that_could_not_be_completed_is_completed_after_the_wait(segmind, monkeypatch):
    run = video()
    monkeypatch.setattr(TaskState, "set", second_write_fails())
    result = run.try_once()
    (purchase,) = run.purchases
    assert (purchase["phase"], purchase["request_id"]) == ("landed", result["request_id"])


def second_write_fails():
    """A task state that takes an intent, and not that it was bought."""
    write, fails = TaskState.set, iter([False, True])

    def set_(self, key, value, **options):
        if next(fails, False):
            raise ConnectionError("the api-server is away")
        write(self, key, value, **options)

    return set_


def test_an_id_that_only_an_xcom_tells_is_taken_up_before_anything_is_looked_for_or_bought(
    segmind, monkeypatch
):
    segmind.configure(history_lag_seconds=1e6)
    monkeypatch.setattr(TaskState, "set", second_write_fails())
    run = video(timeout=0.5, on_orphaned_intent="resubmit")

    def unanswered(deferral):
        time.sleep(1.0)
        return TriggerFailureReason.TRIGGER_TIMEOUT.value

    result = run.try_with(unanswered)
    assert ids(segmind) == [result["request_id"]]
    assert [(bought["phase"], bought["request_id"]) for bought in run.purchases] == [
        ("landed", *ids(segmind))
    ]


def test_an_id_that_was_taken_up_before_a_lost_submit_does_not_stand_for_it(segmind, later):
    segmind.add_faults("submit:after:fail")
    run = video(wait_for_completion=False, timeout=1)
    failing = run.try_once()["request_id"]
    later(60)
    segmind.add_faults("submit:after:reset")
    segmind.configure(history_lag_seconds=1000)

    def unanswered(deferral):
        assert run.ti.xcom["request_id"] == failing
        segmind.configure(history_lag_seconds=0)
        return TriggerFailureReason.TRIGGER_TIMEOUT.value

    assert run.try_with(unanswered)["request_id"] == ids(segmind)[1]
    assert len(ids(segmind)) == 2


def test_a_record_that_cannot_be_read_after_the_wait_does_not_hide_the_requests_id(segmind, monkeypatch):
    run = video()

    def breaks(deferral):
        monkeypatch.setattr(TaskState, "get", broken)
        return {"event": asyncio.run(run.fire(deferral))}

    with pytest.raises(RecordUnavailable, match="the api-server is away") as caught:
        run.try_with(breaks)
    assert f"Request {ids(segmind)[0]} was bought before that" in str(caught.value)
    assert caught.value.request_id == ids(segmind)[0]


def test_a_record_that_is_none_after_the_wait_does_not_hide_the_requests_id(segmind):
    run = video()

    def spoilt(deferral):
        event = asyncio.run(run.fire(deferral))
        run.state.set("airflow_ltx.request", "something else")
        return {"event": event}

    with pytest.raises(AirflowFailException, match="holds no record") as caught:
        run.try_with(spoilt)
    assert f"Request {ids(segmind)[0]} was bought before that" in str(caught.value)


def test_a_store_that_fails_at_the_very_end_does_not_fail_a_task_that_has_its_video(
    segmind, tmp_path, monkeypatch, told
):
    monkeypatch.setattr(TaskState, "set", failing_after(2))
    result = video(destination=f"file://{tmp_path}/").try_once()
    assert Path(result["uri"].removeprefix("file://")).exists()
    assert "is landed, and that could not be recorded" in told()


def test_the_record_beside_the_destination_tells_whose_it_is_and_holds_no_prompt(segmind, tmp_path):
    run = video(destination=f"file://{tmp_path}/clip.mp4")
    result = run.try_once()
    (file,) = (tmp_path / "_segmind").iterdir()
    told = json.loads(file.read_text())
    assert told["task_instance"]["dag_id"] == run.ti.dag_id
    assert told["purchases"] == run.purchases
    assert told["purchases"][0]["result"] == result
    assert PROMPT not in file.read_text()


def test_either_copy_of_a_record_is_enough(segmind, tmp_path):
    run = video(destination=f"file://{tmp_path}/")
    first = run.try_once()
    run.state = TaskState()
    assert run.try_once()["request_id"] == first["request_id"]
    (file,) = (tmp_path / "_segmind").iterdir()
    file.unlink()
    run.clear()
    assert run.try_once()["request_id"] == first["request_id"]
    assert len(segmind.ledger.submissions) == 1


def test_a_file_that_is_no_record_is_not_taken_for_none(segmind, tmp_path):
    run = video(state=False, destination=f"file://{tmp_path}/")
    run.try_once()
    (file,) = (tmp_path / "_segmind").iterdir()
    file.write_text("{")
    with pytest.raises(AirflowFailException, match="holds no record that this version can read"):
        run.try_once()
    assert len(segmind.ledger.submissions) == 1


def test_two_mapped_tasks_have_a_record_each(segmind, tmp_path):
    runs = [video(state=False, destination=f"file://{tmp_path}/") for _ in range(2)]
    results = []
    for index, run in enumerate(runs):
        run.map_index = index
        results.append(run.try_once())
    for index, run in enumerate(runs):
        run.clear()
        assert run.try_once()["request_id"] == results[index]["request_id"]
    assert len(segmind.ledger.submissions) == 2


# --- Where policies come from -------------------------------------------------------------------------------


WHERE = pytest.mark.parametrize(
    ("argument", "extra", "option", "other"),
    [
        (None, None, None, False),
        (None, None, 1, True),
        (None, 0, 1, False),
        (None, 1, 0, True),
        (0, 1, 1, False),
        (1, 0, 0, True),
        ("{{ none }}", "", 1, True),
    ],
)
"""Which of a policy's two values (0 is its default) each place has, and whether the other one holds."""


@pytest.fixture
def policy(segmind, monkeypatch):
    """Sets a policy in the connection and for the deployment; tells the argument for the task."""

    def put(name, argument, extra, option):
        def word(value):
            return CHOICES[name][value] if isinstance(value, int) else value

        value = json.loads(connection(segmind.base_url)) | {"extra": {name: word(extra)}}
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps(value))
        if option is not None:
            monkeypatch.setenv(f"AIRFLOW__SEGMIND__{name.upper()}", word(option))
        return {name: word(argument)}

    return put


@WHERE
def test_on_clear_comes_from_the_task_else_the_connection_else_the_deployment(
    segmind, policy, argument, extra, option, other
):
    run = video(**policy("on_clear", argument, extra, option))
    run.try_once()
    run.clear()
    run.try_once()
    assert len(segmind.ledger.submissions) == 1 + other


@WHERE
def test_on_orphaned_intent_comes_from_there_too(segmind, policy, argument, extra, option, other):
    segmind.add_faults("submit:before:reset")
    run = video(timeout=0.3, **policy("on_orphaned_intent", argument, extra, option))
    if other:
        assert run.try_once()["request_id"] == ids(segmind)[0]
    else:
        with pytest.raises(SubmitOutcomeUnknown, match="nothing was bought in its place"):
            run.try_once()
        assert ids(segmind) == []


@WHERE
def test_and_so_does_on_stale_state(segmind, policy, argument, extra, option, other):
    given = policy("on_stale_state", argument, extra, option)
    prompts = iter([f"{PROMPT} one", f"{PROMPT} two"])
    run = changing(lambda: {"prompt": next(prompts), "wait_for_completion": False, **given})
    run.try_once()
    if other:
        with pytest.raises(AirflowFailException, match="on_stale_state is 'fail'"):
            run.try_once()
    else:
        run.try_once()
    assert len(segmind.ledger.submissions) == 2 - other


@pytest.mark.parametrize("where", ["argument", "connection", "deployment"])
@pytest.mark.parametrize("name", CHOICES)
def test_a_policy_that_does_not_exist_is_named_before_money_is_spent(segmind, monkeypatch, where, name):
    arguments = {}
    match where:
        case "argument":
            arguments[name] = "{{ 'forget' }}"
        case "connection":
            value = json.loads(connection(segmind.base_url)) | {"extra": {name: "forget"}}
            monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps(value))
        case _:
            monkeypatch.setenv(f"AIRFLOW__SEGMIND__{name.upper()}", "forget")
    with pytest.raises(AirflowFailException, match=name):
        video(**arguments).try_once()
    assert segmind.ledger.submissions == []


def test_a_lost_answer_is_looked_for_before_anything_else_is_bought(segmind, later):
    """An older one of other parameters does not keep it from being found."""
    segmind.configure(inference_seconds=30)
    run = videos([f"{PROMPT} one", f"{PROMPT} two"], timeout=0.3, deferrable=False)
    with pytest.raises(WaitTimeout):
        run.try_once()
    segmind.add_faults("submit:after:reset", "history:before:503*inf")
    with pytest.raises(SubmitOutcomeUnknown):
        run.try_once()
    segmind.set_faults()
    later(60)
    assert run.try_once()["request_id"] == ids(segmind)[1]
    assert len(segmind.ledger.submissions) == 2


def test_a_task_run_without_any_record_says_so_when_it_buys(segmind, told):
    video(state=False).try_once()
    assert "This Airflow keeps no record between tries" in told()
