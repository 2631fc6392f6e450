"""The parameters of ``ltx-video``, typed and checked before money is spent.

The service queues (and numbers) a request before it checks most of its values, so a check here saves a round
trip through a queue, and a reader gets the sentence instead of a FAILED request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from airflow_ltx.exceptions import InvalidParameter
from airflow_ltx.segmind import coerce
from airflow_ltx.segmind.coerce import Problem

MODEL = "ltx-video"

ASPECT_RATIOS = (
    "1:1",
    "1:2",
    "2:1",
    "2:3",
    "3:2",
    "3:4",
    "4:3",
    "4:5",
    "5:4",
    "9:16",
    "16:9",
    "9:21",
    "21:9",
)
TARGET_SIZES = (512, 576, 640, 704, 768, 832, 896, 960, 1024)
LENGTHS = (97, 129, 161, 193, 225, 257)
STEPS = (1, 50)
CFG = (1, 20)
SEED = (-1, 2**63 - 1)

SHORT_PROMPT_WORDS = 20
"""Below this many words :meth:`LTXVideoParameters.advice` repeats what the model's page says of prompts."""

Check = Callable[[str, Any], Any]

_CHECKS: dict[str, Check] = {
    "prompt": coerce.text,
    "negative_prompt": coerce.optional_text,
    "aspect_ratio": coerce.one_of(ASPECT_RATIOS),
    "target_size": coerce.integer_of(TARGET_SIZES),
    "length": coerce.integer_of(LENGTHS),
    "steps": coerce.integer_between(*STEPS),
    "cfg": coerce.number_between(*CFG),
    "seed": coerce.integer_between(*SEED),
    "image": coerce.http_url,
    "extra": coerce.json_object,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LTXVideoParameters:
    """One video. Everything but the prompt may be None: it is then not sent, and the service's default holds.

    Build it with :meth:`parse`, which checks and coerces; the constructor takes what it is given.

    :param prompt: What is to be seen. Long, descriptive prompts work best.
    :param negative_prompt: What is not to be seen. Service default "low quality, worst quality, deformed,
        distorted".
    :param aspect_ratio: One of :data:`ASPECT_RATIOS`, default "3:2". Ignored by the service with an image.
    :param target_size: One of :data:`TARGET_SIZES`, default 640: the side of the square with the same area.
    :param length: Frames, one of :data:`LENGTHS`, default 97 (about 4 s).
    :param steps: 1 to 50, default 30.
    :param cfg: How closely the prompt is followed, 1 to 20, default 3.
    :param seed: -1 or None: the service draws one.
    :param image: http(s) URL of the first frame.
    :param extra: Parameters that the service may add one day, sent as they are.
    """

    prompt: str
    negative_prompt: str | None = None
    aspect_ratio: str | None = None
    target_size: int | None = None
    length: int | None = None
    steps: int | None = None
    cfg: float | None = None
    seed: int | None = None
    image: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, **values: Any) -> Self:
        """Check and coerce rendered values: "97" is 97, and a prompt 123 is "123".

        An empty string, "None" and None count as not set, except for the prompt.

        :raises InvalidParameter: Naming every field at fault, its value and what is allowed.
        """
        checked, problems = _check(values)
        if "prompt" not in values:
            problems.insert(0, "prompt is missing")
        if problems:
            raise InvalidParameter(problems, model=MODEL)
        checked["extra"] = checked.get("extra") or {}
        return cls(**checked)

    def to_body(self) -> dict[str, Any]:
        """The JSON object that is sent: what was set, nothing else."""
        body = {name: value for name in PARAMETERS if (value := getattr(self, name)) is not None}
        return {**body, **self.extra}

    def advice(self) -> str | None:
        """A sentence for the log if the prompt is of the kind that the model makes poor videos of."""
        words = len(self.prompt.split())
        if words >= SHORT_PROMPT_WORDS:
            return None
        return (
            f"The prompt has {words} word{'' if words == 1 else 's'}. LTX-Video needs long, descriptive "
            "prompts: say who is seen, what moves, how the camera moves, the light and the style."
        )


PARAMETERS = tuple(f.name for f in fields(LTXVideoParameters) if f.name != "extra")
"""The nine parameters on the model's page, in its order."""


def check_literals(values: Mapping[str, Any]) -> None:
    """Check those values that are known already, such as literals in a DAG file.

    :raises InvalidParameter: As :meth:`LTXVideoParameters.parse`.
    """
    _, problems = _check(values)
    if problems:
        raise InvalidParameter(problems, model=MODEL)


def _check(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    checked: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in values.items():
        check = _CHECKS.get(name)
        if check is None:
            problems.append(f"{name} is no parameter of the model (use extra for new ones)")
            continue
        try:
            checked[name] = check(name, value)
        except Problem as problem:
            problems.append(str(problem))
    known = set(checked.get("extra") or ()) & set(PARAMETERS)
    if known:
        problems.append(
            f"extra must not repeat {', '.join(sorted(known))}: give it as an argument of its own"
        )
    return checked, problems
