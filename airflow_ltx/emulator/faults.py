"""Scripted faults: what goes wrong at which endpoint, before or after the effect, and how often.

Compact form: ``endpoint:when:action[*times][+skip][@match]``, for instance ``submit:after:reset`` (the first
submit takes effect and its answer is lost) or ``status:before:503*3+2`` (polls three to five get a 503).
Without ``*times`` a rule acts once; ``*inf`` acts for ever.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Endpoint = Literal[
    "submit", "status", "result", "sync", "credits", "download",
    "history", "generations", "models", "account", "upload", "asset",
]  # fmt: skip
FaultEndpoint = Literal[Endpoint, "any"]
When = Literal["before", "after"]
Kind = Literal[
    "code", "reset", "stall", "truncate", "garbage", "empty", "html", "status", "redirect", "slow", "fail"
]

_COMPACT = re.compile(
    r"(?P<endpoint>[a-z]+):(?P<when>[a-z]+):(?P<action>.+?)"
    r"(?:\*(?P<times>\d+|inf))?(?:\+(?P<skip>\d+))?(?:@(?P<match>.+))?"
)
ACTIONS = (
    "<code>[:text], reset, stall:<seconds>, truncate:<bytes>, garbage, empty, html[:code], status:<WORD>, "
    "redirect:<url>, slow:<bytes per second>, fail[:text]"
)
# These work on an answer, so there must have been one; an endpoint that changes nothing has one either way.
_NEED_AN_ANSWER = frozenset({"truncate", "status", "slow"})
_CHANGES = frozenset({"submit", "sync", "upload", "any"})


@dataclass(frozen=True, slots=True)
class Action:
    """What happens to an answer; ``argument`` is a code's or failure's text, a status word or a URL."""

    kind: Kind
    argument: str = ""
    amount: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Action:
        """Read an action's compact form; ``ValueError`` lists what there is."""
        name, _, argument = text.partition(":")
        if name == "status" and argument[:3].isdigit():
            return cls.parse(argument)
        try:
            if re.fullmatch(r"[1-5]\d\d", name):
                return cls("code", argument, int(name))
            match name:
                case "stall" | "truncate" | "slow":
                    amount = float(argument)
                    if amount < 0 or (name == "slow" and amount == 0):
                        raise ValueError
                    return cls(name, amount=amount)
                case "html":
                    return cls("html", amount=int(argument or 200))
                case "status" | "redirect" if argument:
                    return cls(name, argument)
                case "reset" | "garbage" | "empty" if not argument:
                    return cls(name)
                case "fail":
                    return cls("fail", argument or "Internal service error")
        except ValueError:
            pass
        raise ValueError(f"unknown fault action {text!r}; there are: {ACTIONS}")


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One rule of the script.

    :param when: ``before``: the request has no effect. ``after``: it has, and only the answer changes.
    :param action: Compact form, see the module.
    :param times: How many requests it acts on; None is for ever.
    :param skip: How many matching requests pass first.
    :param match: Substring of the request id or of the body that limits the rule to such requests.
    :param body: JSON value or text to answer with, for an HTTP code.
    """

    endpoint: FaultEndpoint
    when: When
    action: str
    times: int | None = 1
    skip: int = 0
    match: str | None = None
    body: Any = None
    parsed: Action = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.endpoint not in get_args(FaultEndpoint):
            raise ValueError(
                f"unknown endpoint {self.endpoint!r}; one of {', '.join(get_args(FaultEndpoint))}"
            )
        if self.when not in get_args(When):
            raise ValueError(f"a fault acts 'before' or 'after' the effect, not {self.when!r}")
        if (self.times is not None and self.times < 1) or self.skip < 0:
            raise ValueError("times must be at least 1 (or None for ever), skip at least 0")
        action = Action.parse(self.action)
        if self.when == "before" and (
            action.kind == "fail" or (action.kind in _NEED_AN_ANSWER and self.endpoint in _CHANGES)
        ):
            raise ValueError(f"{self.action} needs a request that took effect: use {self.endpoint}:after:")
        if action.kind == "fail" and self.endpoint not in {"submit", "sync", "any"}:
            raise ValueError("fail is for submit and sync: it makes the request that was accepted end FAILED")
        object.__setattr__(self, "parsed", action)

    @classmethod
    def from_compact(cls, text: str) -> FaultRule:
        """Read ``endpoint:when:action[*times][+skip][@match]``; ``ValueError`` says what is wrong."""
        found = _COMPACT.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is not endpoint:before|after:action[*times][+skip][@match]")
        times = found["times"]
        return cls(
            found["endpoint"],  # type: ignore[arg-type]  # checked in __post_init__
            found["when"],  # type: ignore[arg-type]
            found["action"],
            times=None if times == "inf" else int(times or 1),
            skip=int(found["skip"] or 0),
            match=found["match"],
        )

    @classmethod
    def from_json(cls, value: Any) -> FaultRule:
        """Read a compact string or an object with the fields of a rule; ``ValueError`` says what is wrong."""
        if isinstance(value, str):
            return cls.from_compact(value)
        if not isinstance(value, Mapping):
            raise ValueError("a fault is a string or an object")  # noqa: TRY004 - one error for all bad input
        names = {item.name for item in dataclasses.fields(cls) if item.init}
        if unknown := sorted(set(value) - names):
            raise ValueError(f"a fault has no {', '.join(unknown)}; its fields: {', '.join(sorted(names))}")
        try:
            return cls(**{**value, "action": str(value["action"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"a fault needs endpoint, when and action: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values; :meth:`from_json` reads them."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.init}


class FaultScript:
    """Rules in order, each with the number of matching requests it has seen."""

    def __init__(self, rules: Iterable[FaultRule] = ()) -> None:
        self.rules = tuple(rules)
        self._seen = [0] * len(self.rules)

    def extend(self, rules: Iterable[FaultRule]) -> None:
        """Append rules; those already there keep their counts."""
        more = tuple(rules)
        self.rules += more
        self._seen += [0] * len(more)

    def pick(self, endpoint: Endpoint, when: When, request_id: str, body: bytes) -> FaultRule | None:
        """Return the first rule that acts on this request; rules after it do not see the request."""
        for index, rule in enumerate(self.rules):
            if rule.when != when or rule.endpoint not in (endpoint, "any"):
                continue
            if rule.parsed.kind == "fail" and endpoint not in {"submit", "sync"}:
                continue
            if rule.match is not None and rule.match not in request_id and rule.match.encode() not in body:
                continue
            self._seen[index] += 1
            turn = self._seen[index] - rule.skip
            if turn >= 1 and (rule.times is None or turn <= rule.times):
                return rule
        return None
