"""A lost request in the account's history: found for certain, or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.durability.fingerprint import marks
from airflow_ltx.durability.recovery import Ask, Fate, Lookup, Pause, Search, Verdict, Wanted
from airflow_ltx.exceptions import AuthenticationFailed, RateLimited, ServiceUnavailable
from airflow_ltx.segmind.models import HistoryEntry, HistoryPage, State

AT = 1_800_000_000.0
BODY = {"prompt": "a lighthouse", "cfg": 3, "seed": 77}
WANTED = Wanted("ltx-video", marks(BODY), seeded=True, intent_at=AT)
UNSEEDED = Wanted("ltx-video", marks({"prompt": "a lighthouse"}), seeded=False, intent_at=AT)


def row(
    name: str,
    at: float | None = AT + 1,
    body=BODY,
    model: str | None = "ltx-video",
    state: State = State.PROCESSING,
) -> HistoryEntry:
    return HistoryEntry(name, model=model, state=state, parameters=body, created_at=at)


def search(wanted: Wanted, entries: list[HistoryEntry], per_page: int = 100, skipped: int = 0) -> Search:
    """Read a history as the loop does."""
    reading = Search(wanted)
    while not reading.ended:
        start = (reading.page - 1) * per_page
        part = tuple(entries[start : start + per_page])
        reading.read(HistoryPage(part, reading.page, per_page, rows=len(part) + skipped, skipped=skipped))
    return reading


def test_the_request_is_known_by_its_body():
    others = [row("b", body={**BODY, "seed": 78}), row("c", model="ltx-video-2"), row("d", at=AT - 3600)]
    found = search(WANTED, [*others, row("a")])
    assert found.match is not None
    assert found.match.request_id == "a"


@pytest.mark.parametrize("own", ["47411f110c6fa4fe05dcb9ffed2c1962", "47411F11-0C6F-A4FE-05DC-B9FFED2C1962"])
def test_an_earlier_request_of_the_task_is_not_it_however_its_id_is_written(own):
    wanted = replace(WANTED, others=(own,))
    assert search(wanted, [row("47411f11-0c6f-a4fe-05dc-b9ffed2c1962")]).complete
    assert search(wanted, [row("47411f110c6fa4fe05dcb9ffed2c1962")]).complete


def test_one_request_whose_id_is_written_in_two_ways_is_one():
    body = {"prompt": "a lighthouse"}
    found = search(UNSEEDED, [row("aa-bb", body=body), row("aabb", body=body)])
    assert found.match is not None
    assert found.ids == ["aabb"]


def test_numbers_and_order_that_the_history_writes_otherwise_are_the_same_body():
    found = search(WANTED, [row("a", body={"seed": 77.0, "cfg": 3.0, "prompt": "a lighthouse"})])
    assert found.match is not None


def test_an_empty_history_says_that_there_is_none():
    assert search(WANTED, []).complete


@pytest.mark.parametrize(
    "unclear",
    [row("a", body=None), row("a", model=None), row("a", model=None, body=None, at=None)],
)
def test_a_row_that_does_not_say_what_it_is_is_not_an_absence(unclear):
    found = search(WANTED, [unclear])
    assert found.match is None
    assert not found.complete
    assert "not say yet" in found.why()


def test_rows_without_an_id_are_not_an_absence():
    assert not search(WANTED, [], skipped=1).complete


def test_without_a_seed_two_of_the_same_body_are_no_match():
    body = {"prompt": "a lighthouse"}
    two = search(UNSEEDED, [row("a", body=body), row("b", body=body)])
    assert (two.match, two.complete) == (None, False)
    assert "a, b" in two.why()
    assert search(UNSEEDED, [row("a", body=body)]).match is not None


def test_without_a_seed_a_row_beside_one_that_does_not_tell_is_no_match():
    body = {"prompt": "a lighthouse"}
    found = search(UNSEEDED, [row("a", body=body), row("b", body=None)])
    assert (found.match, found.complete) == (None, False)


def test_a_request_for_more_is_the_same_only_if_no_other_can_have_its_seed():
    # The history may write down the service's defaults; but an author may give one seed to many requests.
    more = [row("a", body={**BODY, "image": "https://images.test/1.png"})]
    assert search(WANTED, more).match is None
    assert search(replace(WANTED, drawn=True), more).match is not None


def test_with_a_seed_the_nearest_of_two_in_time_is_taken():
    found = search(WANTED, [row("later", at=AT + 90), row("this", at=AT + 1), row("before", at=AT - 90)])
    assert found.match is not None
    assert found.match.request_id == "this"


@pytest.mark.parametrize("at", [AT - 100, AT - 20, AT + 1000])
def test_with_an_authors_seed_one_from_another_time_is_taken_once_its_video_is_there(at):
    """It may be another task's, or an earlier run's: the same video, but only if it comes to be."""
    assert search(WANTED, [row("a", at=at)]).match is None
    assert not search(WANTED, [row("a", at=at)]).complete
    assert search(WANTED, [row("a", at=at, state=State.COMPLETED)]).match is not None
    failed = search(WANTED, [row("a", at=at, state=State.FAILED)])
    assert failed.match is None
    assert failed.complete


def test_a_drawn_seed_is_one_requests_whenever_it_was_made_and_whatever_became_of_it():
    for state in State:
        found = search(replace(WANTED, drawn=True), [row("a", at=AT - 100, state=state)])
        assert found.match is not None


def test_one_that_failed_comes_after_one_that_has_not():
    found = search(WANTED, [row("a", at=AT, state=State.FAILED), row("b", at=AT + 20)])
    assert found.match is not None
    assert found.match.request_id == "b"


def test_one_that_failed_and_says_not_when_it_was_made_is_no_match():
    found = search(WANTED, [row("a", at=None, state=State.FAILED)])
    assert found.match is None
    assert not found.complete


@given(st.integers(0, 350), st.integers(10, 100))
def test_it_is_found_on_whichever_page_it_stands(position, per_page):
    others = [row(f"other-{n}", at=AT + 300 - n / 2, body={"prompt": str(n)}) for n in range(350)]
    others.insert(position, row("a", at=AT + 300 - position / 2))
    found = search(WANTED, others, per_page)
    assert found.match is not None
    assert found.match.request_id == "a"


def test_a_search_ends_at_the_time_of_the_intent():
    old = [row(f"old-{n}", at=AT - 1000 - n) for n in range(1000)]
    found = search(WANTED, [row("b", body={"prompt": "x"}), *old], per_page=10)
    assert found.page == 2
    assert found.complete


def test_without_a_seed_whoever_asks_for_the_same_later_is_somebody_else():
    body = {"prompt": "a lighthouse"}
    found = search(UNSEEDED, [row("a", body=body, at=AT + 900), row("b", body=body, at=AT - 60)])
    assert found.complete


def test_a_history_that_tells_defaults_too_tells_the_same_body_if_the_seed_was_drawn():
    wanted = replace(WANTED, drawn=True)
    assert search(wanted, [row("a", body={**BODY, "steps": 30})]).match is not None
    more = {"prompt": "a lighthouse", "steps": 30}
    assert search(UNSEEDED, [row("a", body=more)]).complete


def test_a_row_of_another_body_whose_model_is_not_told_yet_is_no_doubt():
    assert search(WANTED, [row("a", model=None, body={"prompt": "x"})]).complete


@pytest.mark.parametrize(("days", "bounded"), [(0, False), (1, False), (2, False), (3, True), (400, True)])
def test_the_question_spans_the_days_around_the_intent_alone(days, bounded):
    since, until = WANTED.window(AT + days * 86400)
    assert since < datetime.fromtimestamp(AT, UTC).date()
    assert (until is not None) is bounded
    assert until is None or (until - since).days < 31


class World:
    """A history in which rows appear with time, read by a lookup."""

    def __init__(self, deadline: float, answers, wanted: Wanted = WANTED) -> None:
        self.now = AT
        self.reads: list[float] = []
        self.answers = answers
        self.lookup = Lookup(wanted, deadline)

    def run(self) -> Verdict:
        while True:
            step = self.lookup.step(self.now, 0.5)
            match step:
                case Verdict():
                    return step
                case Pause():
                    assert step.seconds > 0
                    self.now += step.seconds
                case Ask():
                    assert step.filters["model"] == "ltx-video"
                    self.reads.append(self.now)
                    answer = self.answers(self.now)
                    if isinstance(answer, Exception):
                        self.lookup.failed(answer, self.now, 0.5)
                    else:
                        self.lookup.read(HistoryPage(tuple(answer), 1, 100, rows=len(answer), skipped=0))
                    self.now += 0.1


@given(st.floats(0, 900))
def test_it_is_found_soon_after_it_appears(lag):
    world = World(AT + 1200, lambda now: [row("a")] if now >= AT + lag else [])
    assert world.run() == Verdict(Fate.FOUND, "a")
    assert world.now - AT <= lag + max(5.0, 0.25 * lag) + 1


@given(st.floats(0, 50), st.floats(0, 50))
def test_without_a_seed_the_row_that_comes_first_is_not_taken_for_it(others_lag, lag):
    body = {"prompt": "a lighthouse"}
    rows = {"other": (row("other", body=body), others_lag), "mine": (row("mine", body=body), lag)}
    world = World(AT + 120, lambda now: [r for r, late in rows.values() if now >= AT + late], UNSEEDED)
    assert world.run().fate is Fate.UNCLEAR


@pytest.mark.parametrize(
    ("drawn", "wait"), [(True, 0), (False, 60)], ids=["whose seed was drawn", "with an author's seed"]
)
def test_one_that_failed_is_taken_for_it_once_its_own_row_should_be_there(drawn, wait):
    failed = row("a", state=State.FAILED)
    world = World(AT + 1200, lambda now: [failed], replace(WANTED, drawn=drawn))
    assert world.run() == Verdict(Fate.FOUND, "a")
    assert AT + wait <= world.now < AT + wait + 30


def test_without_a_seed_it_is_found_a_minute_after_its_submit():
    world = World(AT + 1200, lambda now: [row("a", body={"prompt": "a lighthouse"})], UNSEEDED)
    assert world.run() == Verdict(Fate.FOUND, "a")
    assert AT + 60 <= world.now < AT + 90


def test_what_was_there_and_is_not_any_more_is_no_absence():
    # As a history does that is read from several copies.
    mine = row("a", body={"prompt": "a lighthouse"})
    world = World(AT + 120, lambda now: [mine] if AT + 5 <= now < AT + 30 else [], UNSEEDED)
    verdict = world.run()
    assert verdict.fate is Fate.UNCLEAR
    assert "a was in it before" in verdict.reason


def test_without_a_seed_one_early_look_tells_nothing():
    world = World(0.0, lambda now: [row("a", body={"prompt": "a lighthouse"})], UNSEEDED)
    verdict = world.run()
    assert verdict.fate is Fate.UNCLEAR
    assert "may be somebody else's" in verdict.reason


def test_it_is_absent_only_after_a_reading_that_began_at_the_deadline():
    world = World(AT + 1200, lambda now: [])
    assert world.run().fate is Fate.ABSENT
    assert world.reads[-1] == AT + 1200
    assert len(world.reads) < 60


def test_one_look_is_made_however_late_it_is():
    assert World(0.0, lambda now: [row("a")]).run().request_id == "a"
    world = World(0.0, lambda now: [])
    assert world.run().fate is Fate.ABSENT
    assert len(world.reads) == 1


@given(st.sets(st.integers(0, 40)))
def test_what_cannot_be_read_is_never_an_absence(broken):
    count = iter(range(10**6))

    def answer(now):
        return ServiceUnavailable("down") if next(count) in broken or now >= AT + 600 else []

    assert World(AT + 600, answer).run() == Verdict(Fate.UNREADABLE, reason="down")


def test_a_history_that_refuses_the_key_for_long_is_not_asked_until_the_deadline():
    world = World(AT + 10_000, lambda now: AuthenticationFailed("no"))
    assert world.run().fate is Fate.UNREADABLE
    assert 300 <= world.now - AT < 600


def test_a_refusal_that_passes_is_forgotten():
    world = World(AT + 1000, lambda now: AuthenticationFailed("no") if (now - AT) % 400 < 250 else [])
    assert world.run().fate in (Fate.ABSENT, Fate.UNREADABLE)
    assert world.now - AT >= 1000


def test_a_rate_limit_is_heeded():
    world = World(AT + 600, lambda now: RateLimited("wait", retry_after=55) if now < AT + 50 else [row("a")])
    assert world.run().request_id == "a"
    assert len(world.reads) == 2


def test_rows_that_stay_unclear_are_told():
    world = World(AT + 60, lambda now: [row("a", body=None)])
    verdict = world.run()
    assert verdict.fate is Fate.UNCLEAR
    assert "not say yet" in verdict.reason
