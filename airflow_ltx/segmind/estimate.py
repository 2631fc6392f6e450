"""How long a model's requests take: Segmind's averages, until this process has seen some of them end."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

AVERAGES: Mapping[str, float] = {
    "ltx-video": 55.0,
    "ltx-2-fast": 46.0,
    "ltx-2-pro": 70.0,
    "ltx-2-19b-t2v": 101.0,
    "ltx-2-19b-i2v": 113.0,
    "wan-2.2-t2v-fast": 96.0,
    "wan-2.2-i2v-fast": 53.0,
    "wan2.1-t2v": 105.0,
    "wan2.7-i2v": 484.0,
    "kling-2.5-turbo": 135.0,
    "kling-2.6-pro-motion-control": 595.0,
    "kling-v1-pro-ai-avatar": 732.0,
    "kling-v2-pro-avatar": 779.0,
    "hailuo-2.3-fast": 114.0,
    "veo-3.1-fast": 99.0,
    "seedance-2.0": 189.0,
    "seedance-2.0-fast": 117.0,
    "seedance-2.0-mini": 159.0,
}
"""Seconds, as Segmind's own directory of models has them."""

OTHER_MODEL = 60.0
"""Seconds that a request of any other model is taken to need, until one has ended."""

SHORTEST = 0.5
"""Seconds. What ended sooner is learned as this: the spacing of looks is not finer."""

_REMEMBERED = 64

_YOUNG = 0.9
_OLD = 1e-6
"""Shares of requests that would still run at an age: above the one the age tells nothing, below the other the
estimate does not."""

_SPREAD = 0.4
"""Standard deviation of the logarithm within one model: queues, cold machines, longer clips."""

_TRUST_IN_SPREAD = 3.0
_TRUST_IN_AVERAGE = 1 / 3
"""Each in requests: how many must end before what was seen counts for more than what was known before. The
average is of all users' parameters, and may be far from this account's."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A lognormal guess at the seconds from submit to completion.

    :param median: Seconds that half of the requests need.
    :param sigma: Standard deviation of the logarithm.
    """

    median: float = OTHER_MODEL
    sigma: float = _SPREAD * math.sqrt(1 + 1 / _TRUST_IN_AVERAGE)


def estimate(average: float, seen: Iterable[tuple[float, float]] = ()) -> Estimate:
    """What the next request may need, given what earlier ones needed.

    The predictive distribution of a normal logarithm with a conjugate prior, as a lognormal of its width:
    wide while little is known, and with every request closer to what they have in common.

    :param average: Seconds, as known before.
    :param seen: Logarithms of the seconds of requests, each with the variance of that number: 0 of one that
        ended.
    """
    logs = list(seen)
    known, count = math.log(average), len(logs)
    weight = _TRUST_IN_AVERAGE + count
    total = sum(log for log, _ in logs)
    centre = (_TRUST_IN_AVERAGE * known + total) / weight
    mean = total / count if logs else known
    squares = _TRUST_IN_SPREAD * _SPREAD**2 + sum((log - mean) ** 2 + unsure for log, unsure in logs)
    squares += _TRUST_IN_AVERAGE * count / weight * (mean - known) ** 2
    variance = squares / (_TRUST_IN_SPREAD + count)
    return Estimate(math.exp(centre), math.sqrt(variance * (1 + 1 / weight)))


def unfinished(age: float, known: Estimate) -> tuple[float, float] | None:
    """What a request that still runs at ``age`` will have needed: the logarithm's mean and variance, as far
    as is known; None where its age tells nothing.

    Of many requests that begin together the quick ones end first. Who learned from those alone would take the
    others for late.
    """
    z = (math.log(max(age, SHORTEST)) - math.log(known.median)) / known.sigma
    alive = 0.5 * math.erfc(z / math.sqrt(2))
    if alive > _YOUNG:
        return None
    if alive < _OLD:
        return math.log(age), 0.0
    late = math.exp(-z * z / 2) / math.sqrt(2 * math.pi) / alive
    return math.log(known.median) + known.sigma * late, known.sigma**2 * max(0.0, 1 + z * late - late**2)


class Estimates:
    """What one process has learned of its models. Safe to share between threads."""

    def __init__(self) -> None:
        self._seen: dict[str | None, deque[float]] = {}
        self._known: dict[str | None, Estimate] = {}

    def of(self, model: str | None) -> Estimate:
        """The estimate for ``model``; None is a model whose name is not known."""
        known = self._known.get(model)
        if known is None:
            known = self._known[model] = estimate(AVERAGES.get(model or "", OTHER_MODEL))
        return known

    def learn(self, model: str | None, seconds: float, running: Iterable[float] = ()) -> None:
        """A request of ``model`` completed ``seconds`` after its submit.

        :param running: Ages of others that did not, in seconds.
        """
        if not 0 <= seconds < math.inf:
            return
        before = self.of(model)
        ended = self._seen.setdefault(model, deque(maxlen=_REMEMBERED))
        ended.append(math.log(max(SHORTEST, seconds)))
        others = (unfinished(age, before) for age in islice(running, _REMEMBERED))
        seen = [*((log, 0.0) for log in tuple(ended)), *(other for other in others if other)]
        self._known[model] = estimate(AVERAGES.get(model or "", OTHER_MODEL), seen)
