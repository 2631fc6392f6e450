"""One inference request: what was drawn for it at the submit, and its state as a function of time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from airflow_ltx.emulator.resolution import VideoPlan

Status = Literal["QUEUED", "PROCESSING", "COMPLETED", "FAILED"]

_STEPS = float(2**64)


@dataclass(slots=True)
class Job:
    """The record of one request. Times in seconds of the core's clock, ``price`` in millionths of a credit.

    ``error`` is known from the start and shows when the run ends; ``remaining`` is what the workspace had
    left when the price had been set aside.
    """

    request_id: str
    ordinal: int
    workspace: str
    model: str
    parameters: dict[str, Any]
    submitted_at: float
    queue_seconds: float
    inference_seconds: float
    price: int
    seed: int
    videos: tuple[VideoPlan, ...]
    error: str | None = None
    remaining: int = 0

    @property
    def video(self) -> VideoPlan:
        """The first of its films, and mostly the only one."""
        return self.videos[0]

    @property
    def started_at(self) -> float:
        return self.submitted_at + self.queue_seconds

    @property
    def finished_at(self) -> float:
        return self.submitted_at + self.queue_seconds + self.inference_seconds

    def status(self, now: float) -> Status:
        """Return the state at ``now``."""
        if now >= self.finished_at:
            return "COMPLETED" if self.error is None else "FAILED"
        return "PROCESSING" if now >= self.started_at else "QUEUED"


@dataclass(frozen=True, slots=True)
class Draw:
    """What chance decides about the submit number ``ordinal`` of an emulator with ``seed``."""

    request_id: str
    file_name: str
    queue: float
    inference: float
    seed: int

    @classmethod
    def of(cls, seed: int, ordinal: int) -> Draw:
        """Draw; ``queue`` and ``inference`` are shares from 0 (included) to 1 (not)."""
        noise = hashlib.blake2b(f"{seed}:{ordinal}".encode(), digest_size=56).digest()
        return cls(
            request_id=noise[:16].hex(),
            file_name=f"{noise[16:32].hex()}.mp4",
            queue=int.from_bytes(noise[32:40]) / _STEPS,
            inference=int.from_bytes(noise[40:48]) / _STEPS,
            seed=int.from_bytes(noise[48:52]),
        )


def between(bounds: tuple[float, float], share: float) -> float:
    """Return the point at ``share`` (0..1) of the way from the lower to the upper bound."""
    low, high = bounds
    return low + (high - low) * share
