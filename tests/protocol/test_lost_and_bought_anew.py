"""``on_orphaned_intent="resubmit"``: what was given up, and what was bought in its place, are kept apart."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from airflow.sdk.exceptions import AirflowFailException
from videos import Killed, ids, video

from airflow_ltx.emulator import FaultRule
from airflow_ltx.exceptions import RecordUnavailable, RequestFailed
from airflow_ltx.hooks.segmind import SegmindHook
from runner import TaskState

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")

NEVER = 1000
REFUSED = FaultRule("submit", "before", "402", skip=1)


def seeds(segmind):
    return [entry.body["seed"] for entry in segmind.ledger.submissions]


def once_bought_anew(run, do):
    """Answers deferrals as a triggerer does; ``do`` happens once another submit was sent in place of a lost
    one."""
    first = None

    def answer(deferral):
        nonlocal first
        intent_at = run.purchases[-1]["intent_at"]
        first = intent_at if first is None else first
        if intent_at != first:
            do()
        return {"event": asyncio.run(run.fire(deferral))}

    return answer


def test_what_is_bought_anew_has_a_seed_of_its_own(segmind):
    segmind.configure(history_lag_seconds=NEVER)
    segmind.add_faults("submit:after:reset")
    result = video(timeout=0.5, deferrable=False, on_orphaned_intent="resubmit").try_once()
    first, second = seeds(segmind)
    assert first != second == result["seed"]


@pytest.mark.parametrize("said", ["The GPU went away", "Content was flagged by moderation"])
def test_the_lost_one_that_arrived_after_all_is_not_taken_for_it(segmind, said):
    segmind.configure(history_lag_seconds=NEVER)
    segmind.add_faults("submit:after:reset", "submit:after:reset")
    run = video(timeout=3, on_orphaned_intent="resubmit")

    def show_the_first():
        failed = {"status": "FAILED", "error": said}
        segmind.add_faults(FaultRule("status", "before", "422", body=failed, match=ids(segmind)[0]))
        # Its row is there by now, and that of the second comes while it is looked for.
        segmind.configure(history_lag_seconds=1.5)

    result = run.try_with(once_bought_anew(run, show_the_first))
    assert [result["request_id"]] == ids(segmind)[1:]
    assert result["seed"] == seeds(segmind)[1]


def test_what_is_bought_in_place_of_a_failed_one_keeps_its_seed(segmind):
    segmind.configure(history_lag_seconds=NEVER)
    segmind.add_faults("submit:after:reset", "submit:after:fail:The GPU went away")
    run = video(timeout=0.5, on_orphaned_intent="resubmit")
    with pytest.raises(RequestFailed):
        run.try_once()
    result = run.try_once()
    lost, failed, bought = seeds(segmind)
    assert lost != failed == bought == result["seed"]
    assert [result["request_id"]] == ids(segmind)[2:]


def test_a_person_may_have_another_one_bought_in_place_of_both(segmind):
    segmind.configure(history_lag_seconds=NEVER)
    segmind.add_faults("submit:after:reset", "submit:after:fail:Content was flagged by moderation")
    run = video(timeout=0.5, on_orphaned_intent="resubmit", on_clear="regenerate")
    with pytest.raises(AirflowFailException):
        run.try_once()
    segmind.configure(history_lag_seconds=0)
    run.clear()
    result = run.try_once()
    assert [result["request_id"]] == ids(segmind)[2:]
    assert len({*seeds(segmind)}) == 3


def test_what_was_given_up_stays_given_up_though_the_second_was_never_sent(segmind, monkeypatch):
    """The price of it: the history had nothing when it was decided, and is asked for one submit only."""
    segmind.configure(history_lag_seconds=NEVER)
    segmind.add_faults("submit:after:reset")
    run = video(timeout=0.5, deferrable=False, on_orphaned_intent="resubmit")
    submit, sent = SegmindHook.submit, []

    def dies_before_the_second(self, *args, **options):
        sent.append(args)
        if len(sent) == 2:
            raise Killed
        return submit(self, *args, **options)

    monkeypatch.setattr(SegmindHook, "submit", dies_before_the_second)
    with pytest.raises(Killed):
        run.try_once()
    segmind.configure(history_lag_seconds=0)
    result = run.try_once()
    given_up, bought = ids(segmind)
    assert given_up != bought == result["request_id"]
    assert len(sent) == 3


def test_if_the_second_is_refused_the_first_is_looked_for_again(segmind):
    segmind.configure(history_lag_seconds=NEVER)
    segmind.add_faults("submit:after:reset", REFUSED)
    run = video(timeout=0.5, deferrable=False, on_orphaned_intent="resubmit")
    with pytest.raises(AirflowFailException, match="The balance does not cover"):
        run.try_once()
    assert len(ids(segmind)) == 1
    segmind.configure(history_lag_seconds=0)
    run.clear()
    result = run.try_once()
    assert [result["request_id"]] == ids(segmind)
    assert [result["seed"]] == seeds(segmind)


@pytest.fixture
def breaking(monkeypatch):
    """``break_()``: the task state takes nothing any more."""
    write, broken = TaskState.set, []

    def refuses(self, key, value, **options):
        if broken:
            raise OSError("the API server is away")
        write(self, key, value, **options)

    monkeypatch.setattr(TaskState, "set", refuses)
    return lambda: broken.append(True)


def test_if_that_cannot_be_recorded_the_error_says_what_a_retry_looks_for(segmind, monkeypatch, breaking):
    segmind.configure(history_lag_seconds=NEVER)
    segmind.add_faults("submit:after:reset", REFUSED)
    submit, sent = SegmindHook.submit, []

    def sends(self, *args, **options):
        sent.append(args)
        if len(sent) == 2:
            breaking()
        return submit(self, *args, **options)

    monkeypatch.setattr(SegmindHook, "submit", sends)
    run = video(timeout=0.5, deferrable=False, on_orphaned_intent="resubmit")
    with pytest.raises(AirflowFailException, match="That nothing was bought could not be recorded") as caught:
        run.try_once()
    assert "the next try looks for its request in the account's history" in str(caught.value)
    assert "is not looked for any more: if the Segmind console shows its request" in str(caught.value)
    assert "begins anew" not in str(caught.value)


def test_nor_if_only_one_place_has_what_is_not_bought(segmind, monkeypatch, tmp_path, breaking):
    segmind.configure(history_lag_seconds=NEVER)
    segmind.add_faults("submit:after:reset")
    write = TaskState.set

    def then_breaks(self, key, value, **options):
        write(self, key, value, **options)
        first, *_ = ids(segmind) or [None]
        if first is not None and value["purchases"][-1]["intent_at"] > segmind.ledger.of(first).time:
            breaking()
            shutil.rmtree(tmp_path / "_segmind")
            (tmp_path / "_segmind").write_text("no folder")

    monkeypatch.setattr(TaskState, "set", then_breaks)
    run = video(
        timeout=0.5, deferrable=False, on_orphaned_intent="resubmit", destination=f"file://{tmp_path}/"
    )
    with pytest.raises(RecordUnavailable, match="That nothing was bought could not be recorded") as caught:
        run.try_once()
    assert "got no answer and may have been billed: a retry looks" not in str(caught.value)
    assert "is not looked for any more" in str(caught.value)
    assert len(ids(segmind)) == 1
