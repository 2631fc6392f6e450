"""How long a model's requests take: Segmind's averages, until this process has seen some of them end."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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


def estimate(average: float, seen: Iterable[float] = ()) -> Estimate:
    """What the next request may need, given what earlier ones needed.

    The predictive distribution of a normal logarithm with a conjugate prior, as a lognormal of its width:
    wide while little is known, and with every ended request closer to what they have in common.

    :param average: Seconds, as known before.
    :param seen: Seconds of requests that ended.
    """
    logs = [math.log(max(SHORTEST, seconds)) for seconds in seen]
    known, count = math.log(average), len(logs)
    weight = _TRUST_IN_AVERAGE + count
    centre = (_TRUST_IN_AVERAGE * known + sum(logs)) / weight
    mean = sum(logs) / count if logs else known
    squares = _TRUST_IN_SPREAD * _SPREAD**2 + sum((log - mean) ** 2 for log in logs)
    squares += _TRUST_IN_AVERAGE * count / weight * (mean - known) ** 2
    variance = squares / (_TRUST_IN_SPREAD + count)
    return Estimate(math.exp(centre), math.sqrt(variance * (1 + 1 / weight)))


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

    def learn(self, model: str | None, seconds: float) -> None:
        """A request of ``model`` completed ``seconds`` after its submit."""
        if not 0 <= seconds < math.inf:
            return
        seen = self._seen.setdefault(model, deque(maxlen=_REMEMBERED))
        seen.append(seconds)
        self._known[model] = estimate(AVERAGES.get(model or "", OTHER_MODEL), tuple(seen))
