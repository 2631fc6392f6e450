"""What ``ltx-video`` takes: one table that bodies are checked by and the catalogue's schema is made from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from airflow_ltx.emulator.resolution import ASPECT_RATIOS, LENGTHS, TARGET_SIZES


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a model.

    :param choices: The declared fixed set; a value outside of it is refused at the submit.
    :param limits: Smallest and largest number.
    :param nullable: Whether null is the same as leaving it out.
    :param is_url: Whether a text must be an http(s) URL.
    """

    name: str
    type: Literal["string", "integer", "number"]
    default: str | float | None = None
    choices: tuple[str | int, ...] = ()
    limits: tuple[int, int] | None = None
    required: bool = False
    nullable: bool = False
    is_url: bool = False

    def to_schema(self) -> dict[str, Any]:
        """Return the parameter as JSON Schema."""
        schema: dict[str, Any] = {"type": [self.type, "null"] if self.nullable else self.type}
        if self.default is not None:
            schema["default"] = self.default
        if self.choices:
            schema["enum"] = list(self.choices)
        if self.limits:
            schema["minimum"], schema["maximum"] = self.limits
        if self.is_url:
            schema["format"] = "uri"
        if self.required and self.type == "string":
            schema["minLength"] = 1
        return schema


LTX_PARAMETERS = (
    Parameter(name="prompt", type="string", required=True),
    Parameter(
        name="negative_prompt", type="string", default="low quality, worst quality, deformed, distorted"
    ),
    Parameter(name="aspect_ratio", type="string", default="3:2", choices=ASPECT_RATIOS),
    Parameter(name="target_size", type="integer", default=640, choices=TARGET_SIZES),
    Parameter(name="length", type="integer", default=97, choices=LENGTHS),
    Parameter(name="steps", type="integer", default=30, limits=(1, 50)),
    Parameter(name="cfg", type="number", default=3, limits=(1, 20)),
    Parameter(name="seed", type="integer", nullable=True),
    Parameter(name="image", type="string", nullable=True, is_url=True),
)


def json_schema(parameters: Iterable[Parameter]) -> dict[str, Any]:
    """Return the JSON Schema of a body; further parameters are allowed, since they are ignored."""
    table = tuple(parameters)
    return {
        "type": "object",
        "properties": {parameter.name: parameter.to_schema() for parameter in table},
        "required": [parameter.name for parameter in table if parameter.required],
    }
