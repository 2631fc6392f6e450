"""Looking for a request whose submit's answer was lost: what in the account's history is it? Pure.

The service takes no tag and no idempotency key, so a request is known again by its model, its body and its
time. Rows appear late and incomplete; what cannot be read is never taken for "not there".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from airflow_ltx.durability.fingerprint import marks
from airflow_ltx.exceptions import RateLimited, SegmindError
from airflow_ltx.segmind.history import HistoryFilters
from airflow_ltx.segmind.models import HistoryEntry, HistoryPage, State
from airflow_ltx.segmind.polling import DENIED_GRACE
from airflow_ltx.segmind.protocol import bare_id

PER_PAGE = 100
MOST_PAGES = 50
"""Pages that one search reads; an account with more requests than that since the intent is not searched to
its end, and its search says so."""

_SKEW = 120.0
_SKEW_UNSEEDED = 5.0
_SENDING = 300.0
_SETTLING = 60.0
_SHORTEST = 3.0
_LONGEST = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The lost request.

    :param marks: :func:`~airflow_ltx.durability.fingerprint.marks` of the body that was sent.
    :param seeded: The body carries a seed: whatever has the same body is the same video.
    :param intent_at: Epoch seconds just before it was sent.
    :param others: Ids of requests that it is not, though they may be of the same body.
    :param drawn: The seed was drawn for it: no other request has it.
    """

    model: str
    marks: Mapping[str, str]
    seeded: bool
    intent_at: float
    others: tuple[str, ...] = ()
    drawn: bool = False

    def window(self, now: float) -> tuple[date, date | None]:
        """The days of the history that can hold it, whatever the zone of the service's days."""
        day = datetime.fromtimestamp(self.intent_at, UTC).date()
        last = day + timedelta(days=2)
        return day - timedelta(days=1), last if last < datetime.fromtimestamp(now, UTC).date() else None

    def settled(self, state: State) -> float:
        """Epoch seconds from which a search can tell it from others: by then its own row should be there.

        :param state: Of the row that is taken for it.
        """
        sure = self.drawn or (self.seeded and state is not State.FAILED)
        return self.intent_at if sure else self.intent_at + _SETTLING

    @property
    def earliest(self) -> float:
        """Epoch seconds by the service's clock before which no row is it."""
        return self.intent_at - (_SKEW if self.seeded else _SKEW_UNSEEDED)

    def possible_at(self, created_at: float) -> bool:
        """Whether it can have been made at that time."""
        return self.earliest <= created_at if self.seeded else self.likely_at(created_at)

    def likely_at(self, created_at: float) -> bool:
        """Whether a request of the same body that was made then is this one, and not somebody else's."""
        near = self.intent_at - _SKEW_UNSEEDED <= created_at <= self.intent_at + _SENDING
        return self.drawn or near

    def same_body(self, parameters: Mapping[str, object]) -> bool:
        """Whether the parameters of a row are those that were sent."""
        told = marks(parameters)
        if self.drawn:
            # A service that writes down its defaults, too, tells more than was sent. An author's own seed may
            # be in another request that asks for more.
            return all(told.get(name) == mark for name, mark in self.marks.items())
        return told == dict(self.marks)


@dataclass(slots=True)
class Search:
    """One reading of the history, page by page, newest first."""

    wanted: Wanted
    found: dict[str, HistoryEntry] = field(default_factory=dict)
    unclear: int = 0
    page: int = 1
    ended: bool = False
    cut: bool = False

    def read(self, page: HistoryPage) -> None:
        """Take in a page; :attr:`ended` tells whether another one is worth reading."""
        self.unclear += page.skipped
        oldest = float("inf")
        for entry in page.entries:
            if entry.created_at is not None:
                oldest = min(oldest, entry.created_at)
            self._look_at(entry)
        self.ended = page.rows < page.per_page or oldest < self.wanted.earliest
        self.page += 1
        if not self.ended and self.page > MOST_PAGES:
            self.ended = self.cut = True

    @property
    def match(self) -> HistoryEntry | None:
        """The request, if it is certain which one it is."""
        if not self.wanted.seeded:
            # A row that does not tell yet, or was not read, may be it as well.
            alone = len(self.found) == 1 and self.ended and not self.unclear and not self.cut
            return next(iter(self.found.values())) if alone else None
        at = self.wanted.intent_at
        # The same body with the same seed is the same video, if there is one; the nearest in time is the
        # likeliest. What has none is of use only as the very request that is looked for.
        some = [each for each in self.found.values() if self._likely(each) or each.state is State.COMPLETED]
        return min(
            some,
            key=lambda each: (each.state is State.FAILED, abs((each.created_at or float("inf")) - at)),
            default=None,
        )

    @property
    def complete(self) -> bool:
        """Whether all that could be the request was read, so that no match means that there is none."""
        return self.ended and not self.cut and not self.unclear and not self.found

    @property
    def ids(self) -> list[str]:
        """Of what was found, as the history writes them."""
        return sorted(entry.request_id for entry in self.found.values())

    def why(self) -> str:
        """Why there is no match, or which one it is of several."""
        if len(self.found) > 1:
            ids = ", ".join(self.ids)
            several = f"{len(self.found)} requests with the same body were made then ({ids}), and "
            if not self.wanted.seeded:
                return f"{several}without a seed nobody can tell whose they are"
            if self.match is None:
                return f"{several}they may be somebody else's"
            return f"{several}with the same seed they are the same video: the nearest in time is taken"
        if self.cut:
            return f"the account made more than {MOST_PAGES * PER_PAGE} requests since then"
        if self.found and not self.unclear:
            return (
                f"{', '.join(self.ids)} has the same body, and may be somebody else's whose row came sooner"
            )
        if self.unclear:
            rows = "row of the history does" if self.unclear == 1 else "rows of the history do"
            return f"{self.unclear} {rows} not say yet what was asked for"
        return "no request with the same body was made then"

    def _look_at(self, entry: HistoryEntry) -> None:
        wanted = self.wanted
        if bare_id(entry.request_id) in map(bare_id, wanted.others):
            return
        if entry.model is not None and entry.model != wanted.model:
            return
        if entry.created_at is not None and not wanted.possible_at(entry.created_at):
            return
        if entry.parameters is not None and not wanted.same_body(entry.parameters):
            return
        known = entry.model is not None and entry.parameters is not None
        failed = entry.state is State.FAILED
        if not known or (entry.created_at is None and (failed or not wanted.seeded)):
            self.unclear += 1
        elif self._likely(entry) or not failed:
            self.found[bare_id(entry.request_id)] = entry

    def _likely(self, entry: HistoryEntry) -> bool:
        return entry.created_at is None or self.wanted.likely_at(entry.created_at)


class Fate(StrEnum):
    """What the history says of a lost request."""

    FOUND = "found"
    ABSENT = "absent"
    """Read to its end: there is no such request."""
    UNCLEAR = "unclear"
    """Read, and it does not tell."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Ask:
    """Read this page of the history."""

    filters: HistoryFilters


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is certain yet: look again after ``seconds``."""

    seconds: float
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of a lookup. ``reason``: why there is no match, or that there are several."""

    fate: Fate
    request_id: str | None = None
    reason: str | None = None


class Lookup:
    """Searches again and again until the request is found or ``deadline`` has passed; at least once.

    Ask it for a :meth:`step`, do what it says, and tell it what came of it.

    :param deadline: Epoch seconds. Nothing is called absent by a search that began before.
    """

    def __init__(self, wanted: Wanted, deadline: float) -> None:
        self.wanted = wanted
        self.deadline = deadline
        self._search: Search | None = None
        self._began = 0.0
        self._next_at = 0.0
        self._end: Verdict | None = None
        self._reason: str | None = None
        self._refused_since: float | None = None
        self._seen: set[str] = set()

    def step(self, now: float, draw: float) -> Ask | Pause | Verdict:
        """What to do next; ``draw`` in [0, 1) spreads many lookups."""
        if self._search is not None and self._search.ended:
            self._judge(self._search, now, draw)
            self._search = None
        if self._end is not None:
            return self._end
        if self._search is None:
            if now < self._next_at:
                return Pause(self._next_at - now, self._reason)
            self._search, self._began = Search(self.wanted), now
        since, until = self.wanted.window(now)
        return Ask(
            {
                "model": self.wanted.model,
                "since": since,
                "until": until,
                "page": self._search.page,
                "per_page": PER_PAGE,
            }
        )

    def read(self, page: HistoryPage) -> None:
        """The page that was asked for."""
        self._refused_since = None
        if self._search is not None:
            self._search.read(page)

    def failed(self, error: SegmindError, now: float, draw: float) -> None:
        """The page could not be read, which says nothing about what is in it."""
        self._search = None
        if not error.transient:
            self._refused_since = now if self._refused_since is None else self._refused_since
        refused = self._refused_since is not None and now - self._refused_since >= DENIED_GRACE
        if refused or self._began >= self.deadline:
            self._end = Verdict(Fate.UNREADABLE, reason=error.message)
            return
        asked = (error.retry_after or 0.0) if isinstance(error, RateLimited) else 0.0
        self._again(now, max(asked, self._spacing(now, draw)), error.message)

    def _judge(self, search: Search, now: float, draw: float) -> None:
        match = search.match
        self._seen.update(search.ids)
        if match is not None and self._began >= self.wanted.settled(match.state):
            several = search.why() if len(search.found) > 1 else None
            self._end = Verdict(Fate.FOUND, match.request_id, several)
        elif self._began >= self.deadline:
            self._end = self._none(search)
        else:
            self._again(now, self._spacing(now, draw), search.why())

    def _none(self, search: Search) -> Verdict:
        if not search.complete:
            return Verdict(Fate.UNCLEAR, reason=search.why())
        if self._seen:
            # A history that is read from several copies may show a row, and then not yet.
            ids = ", ".join(sorted(self._seen))
            return Verdict(Fate.UNCLEAR, reason=f"{ids} was in it before, and had the same body")
        return Verdict(Fate.ABSENT, reason=search.why())

    def _again(self, now: float, seconds: float, reason: str) -> None:
        self._next_at, self._reason = min(now + seconds, max(now, self.deadline)), reason

    def _spacing(self, now: float, draw: float) -> float:
        age = now - self.wanted.intent_at
        return min(_LONGEST, max(_SHORTEST, 0.2 * age)) * (0.9 + 0.2 * draw)
