"""How many requests a minute one process makes with a key: told, or learned from refusals. Pure; all times
are epoch seconds of the caller's clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW = 60.0
"""Seconds over which the service counts."""

USUAL_LIMIT = 60.0
"""Requests a minute of Segmind's default plan: assumed from a refusal on before a whole window was seen."""

LONGEST_PAUSE = 300.0
"""Seconds. A reset further off is tried earlier: a limit per minute does not last that long."""

_SHARE_USED = 0.92
_BURST = 0.05
"""Shares of the limit: what is spent evenly, and what may be spent at once after a quiet time. Together they
stay below the limit in every window; the rest is left to those who submit elsewhere with the same key."""

_FEWEST_AT_ONCE = 2
_ANSWERS_EACH = 30
_FIRST_PAUSE = 5.0
_LONGEST_BLIND_PAUSE = 60.0
_GROWTH = 1.25
_SHORT_PATIENCE = 60.0
_PATIENCE = 300.0
_LONGEST_PATIENCE = 2400.0
_SAME_LEVEL = 0.8
"""Seconds before more is tried than what was learned, and the share of a level that counts as the same."""


@dataclass(slots=True)
class Pace:
    """The state of one key's budget in one process. Not locked: its user has to see to that.

    :param limit: Requests a minute, if the connection says so; None has it learned from refusals.
    """

    limit: float | None = None
    paused_until: float = 0.0
    _allowed: float | None = None
    _tokens: float = 1.0
    _filled_at: float = 0.0
    _began_at: float | None = None
    _answered: deque[float] = field(default_factory=deque)
    _good: int = 0
    _refused_at: float | None = None
    _level: float = 0.0
    _best: float = 0.0
    _blind_pause: float = _FIRST_PAUSE
    _patience: float = _PATIENCE
    _grown_at: float = 0.0

    def __post_init__(self) -> None:
        self._allowed = self.limit

    @property
    def allowed(self) -> float | None:
        """Requests a minute that are made now; None without a known limit."""
        return None if self._allowed is None else self._allowed * _SHARE_USED

    @property
    def at_once(self) -> int:
        """Calls that may be under way together. While no limit is known, a few more for every few answers, so
        that the first refusal does not meet a crowd."""
        return 1_000_000 if self._allowed is not None else max(_FEWEST_AT_ONCE, self._good // _ANSWERS_EACH)

    def opens_at(self, now: float) -> float:
        """When the next call may begin: ``now`` or later."""
        at = max(now, self.paused_until)
        rate = self._rate
        if rate is None:
            return at
        missing = 1.0 - self._filled(at, rate)
        return at if missing <= 1e-9 else at + missing / rate

    def take(self, now: float) -> None:
        """A call begins."""
        if self._began_at is None:
            self._began_at = self._filled_at = now
        rate = self._rate
        if rate is not None:
            self._tokens = self._filled(now, rate) - 1.0
            self._filled_at = max(now, self._filled_at)

    def answered(self, now: float) -> None:
        """A call was answered, whatever the answer, but for a refusal."""
        self._forget(now)
        self._answered.append(now)
        self._good += 1
        self._blind_pause = _FIRST_PAUSE
        most = self.limit
        if self._allowed is None or (most is not None and self._allowed >= most):
            return
        # Others may have used the limit up for a while, so what was learned is tried again, and the more
        # seldom the oftener it turned out to be right.
        if now - self._grown_at >= self._patience:
            self._grown_at = now
            grown = self._allowed * _GROWTH + 1
            self._allowed = grown if most is None else min(most, grown)

    def refused(self, now: float, retry_after: float | None, sent_at: float) -> bool:
        """A call that was sent at ``sent_at`` was answered by a 429. True if that begins a pause.

        :param retry_after: Seconds until the service takes calls again, as it says; None if it does not.
        """
        begun_before = self._refused_at is not None and sent_at <= self._refused_at
        if retry_after is None:
            if begun_before:
                return False
            retry_after, self._blind_pause = (
                self._blind_pause,
                min(_LONGEST_BLIND_PAUSE, self._blind_pause * 2),
            )
        until = now + min(LONGEST_PAUSE, max(0.0, retry_after))
        if until > self.paused_until:
            self.paused_until = until
        # One call, not many, finds out whether the pause is over.
        self._tokens, self._filled_at = 1.0, self.paused_until
        if begun_before:
            # It was under way when the first one was refused, and says nothing new.
            return False
        self._learn(now)
        self._refused_at = now
        return True

    @property
    def _rate(self) -> float | None:
        allowed = self.allowed
        return None if allowed is None else allowed / WINDOW

    def _filled(self, now: float, rate: float) -> float:
        assert self._allowed is not None  # noqa: S101 - there is a rate
        most = max(1.0, _BURST * self._allowed)
        return min(most, self._tokens + max(0.0, now - self._filled_at) * rate)

    def _learn(self, now: float) -> None:
        self._forget(now)
        level = max(1.0, float(len(self._answered)))
        whole = self._began_at is not None and now - self._began_at >= WINDOW
        if not whole:
            # What an earlier process used of this window is not known.
            level = max(level, self._allowed or USUAL_LIMIT)
        else:
            self._best = max(self._best, level)
        again = self._refused_at is not None and level >= _SAME_LEVEL * self._level
        # What was granted once will be again when those who use it up now have gone.
        first = _SHORT_PATIENCE if level < _SAME_LEVEL * (self.limit or self._best) else _PATIENCE
        self._patience = min(_LONGEST_PATIENCE, self._patience * 2) if again else first
        self._level, self._grown_at = level, now
        self._allowed = level if self.limit is None else min(level, self.limit)

    def _forget(self, now: float) -> None:
        while self._answered and self._answered[0] <= now - WINDOW:
            self._answered.popleft()
