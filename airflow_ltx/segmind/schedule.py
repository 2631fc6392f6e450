"""When to look at a request: pure functions of its age, of what its model usually takes, and of the budget.

A look pays off where a request is likely to have ended since the last one. With the hazard ``h(t)`` of the
estimated time, looks spaced by ``sqrt(2 * price / h)`` make the least of lag and looks together; the price of
a look is taken in proportion to the age, since a second is nothing to who has waited for ten minutes. So the
looks are rare before the usual time, close around it, and spaced in proportion to the age afterwards, which
makes their number grow with the logarithm of the time.
"""

from __future__ import annotations

import math

from airflow_ltx.segmind.estimate import Estimate

CLOSEST = 1.0
"""Seconds. No two looks at a request are closer, unless its author says so."""

FIRST_LOOK = 1.87
"""Standard deviations below the usual time of the first look: one request in 33 is over by then."""

_PRICE = 0.0086
"""Of a look, in shares of the age."""

_WIDEST = 0.134
_NARROWEST = 0.05
"""Shares of the age: the widest for an estimate that is off by a factor of e, wider for a better one."""

_TAIL = 0.1
_FAR = 6.0


def first_look(estimate: Estimate) -> float:
    """Seconds after the submit."""
    return max(CLOSEST, estimate.median * math.exp(-FIRST_LOOK * estimate.sigma))


def spacing(age: float, estimate: Estimate, share: float = 0.0) -> float:
    """Seconds from a look at a request of this ``age`` to the next one.

    :param age: Seconds since the submit.
    :param share: Seconds between two looks that the request budget has for each of those who wait; 0 where
        there is no limit. A wait leaves half of it to those whose requests are likelier to be over.
    """
    until_first = first_look(estimate) - age
    if until_first > 0:
        return max(CLOSEST, until_first, share / 2)
    rate, widest = _hazard(age, estimate), _WIDEST / estimate.sigma
    part = math.sqrt(2 * _PRICE / rate) if rate > 0 else widest
    return max(CLOSEST, share / 2, age * min(widest, max(_NARROWEST, part)))


def likelihood(age: float, looked: float, estimate: Estimate) -> float:
    """How likely a request that ran at the age of ``looked`` seconds is over at ``age``; 0 to 1.

    From the usual time on, a tenth of the doubt is no estimate's, so that what nobody expects any more is
    looked at, too.
    """
    if age <= looked:
        return 0.0
    late = max(0.0, _TAIL * (1 - max(looked, estimate.median) / age))
    alive = _survival(looked, estimate)
    return max(late, 1 - _survival(age, estimate) / alive) if alive > 0 else max(late, _TAIL)


def _deviations(age: float, estimate: Estimate) -> float:
    return (math.log(max(age, 1e-9)) - math.log(estimate.median)) / estimate.sigma


def _survival(age: float, estimate: Estimate) -> float:
    return 0.5 * math.erfc(_deviations(age, estimate) / math.sqrt(2))


def _hazard(age: float, estimate: Estimate) -> float:
    """Per unit of the logarithm of the time."""
    z = _deviations(age, estimate)
    if z > _FAR:
        # Where the quotient below would be that of two vanishing numbers.
        return (z + 1 / z) / estimate.sigma
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return density / (0.5 * math.erfc(z / math.sqrt(2))) / estimate.sigma
