from __future__ import annotations

from airflow_ltx.segmind.expiry import Expiry
from airflow_ltx.segmind.polling import RECORD_KEPT

BEGUN = 1_800_000_000.0


def test_each_share_of_the_hour_is_told_once() -> None:
    passed = 0.0
    expiry = Expiry(BEGUN, clock=lambda: BEGUN + passed)
    told = []
    for passed in range(0, 4000, 60):
        sentence = expiry.warning()
        if sentence is not None:
            told.append((passed, sentence[:4].strip()))
    assert told == [(RECORD_KEPT * 0.5, "50%"), (RECORD_KEPT * 0.8, "80%")]


def test_one_who_comes_late_is_told_the_later_share_alone() -> None:
    expiry = Expiry(BEGUN, clock=lambda: BEGUN + 3000)
    assert str(expiry.warning()).startswith("80% of the hour")
    assert expiry.warning() is None
    assert expiry.until().startswith("is kept until 2027-01-15")
    assert Expiry(BEGUN, clock=lambda: BEGUN + 3601).until().startswith("was kept until")


def test_of_an_unknown_submit_nothing_is_said() -> None:
    assert Expiry(None).warning() is None
