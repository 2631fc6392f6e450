"""Seeds that are drawn, and seeds that are given: sent, recorded, told."""

from __future__ import annotations

import pytest
from videos import video

from airflow_ltx.exceptions import RequestFailed

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")


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
