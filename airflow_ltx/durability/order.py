"""What a try would buy: the author's parameters, and the seed that is drawn for them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from airflow_ltx.durability.fingerprint import fingerprint
from airflow_ltx.segmind.numbers import integer_or_none

_SEEDS = 2**31


@dataclass(frozen=True)
class Order:
    """A model and its rendered parameters.

    :param draw_seed: The model takes a seed: draw one where the author gave none, so that the request can be
        told from all others in the account's history, and another try asks for the same video.
    """

    model: str
    parameters: Mapping[str, Any]
    draw_seed: bool = False

    @property
    def open_seed(self) -> bool:
        """Whether a seed is drawn. A negative one asks the service to draw, which comes to the same."""
        seed = self.parameters.get("seed")
        number = integer_or_none(seed)
        return self.draw_seed and (seed is None or (number is not None and number < 0))

    @cached_property
    def fingerprint(self) -> str:
        """Of what the author asked for: the same whichever seed is drawn."""
        return fingerprint(self.model, self._given if self.open_seed else self.parameters)

    def seed(self, drawn: int | None) -> int | None:
        """The seed to draw: ``drawn`` before for the same order, or a new one; None if none is drawn."""
        if not self.open_seed:
            return None
        return secrets.randbelow(_SEEDS) if drawn is None else drawn

    def body(self, seed: int | None) -> dict[str, Any]:
        """The JSON object to send."""
        return dict(self.parameters) if seed is None else {**self._given, "seed": seed}

    @property
    def _given(self) -> dict[str, Any]:
        return {name: value for name, value in self.parameters.items() if name != "seed"}
