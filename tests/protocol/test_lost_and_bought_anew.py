"""``on_orphaned_intent="resubmit"``: what was given up, and what was bought in its place, are kept apart."""

from __future__ import annotations

import asyncio

import pytest
from airflow.sdk.exceptions import AirflowFailException
from videos import Killed, ids, video

from airflow_ltx.emulator import FaultRule
from airflow_ltx.exceptions import RequestFailed
from airflow_ltx.hooks.segmind import SegmindHook

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")

NEVER = 1000


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
