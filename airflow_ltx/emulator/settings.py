"""What can be set, and the checks that keep a mistyped setting from emulating something else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from airflow_ltx.emulator.assets import UploadShape
from airflow_ltx.emulator.catalogue import DEFAULT_MODELS, Model
from airflow_ltx.emulator.faults import FaultRule
from airflow_ltx.emulator.moments import IsoFormat
from airflow_ltx.emulator.ratelimit import ResetFormat
from airflow_ltx.emulator.results import ResultShape

Seconds = float | tuple[float, float]

_NOT_CHANGEABLE = frozenset({"seed", "api_keys", "models", "faults"})
_RANGES = ("queue_seconds", "inference_seconds")
_AMOUNTS = (
    "price_per_second", "credits", "record_ttl", "file_ttl", "sync_limit_seconds", "history_lag_seconds",
    "record_lag_seconds", "upload_limit",
)  # fmt: skip
_LARGEST_FILE = 2**32 - 1
_SETS = ("retired", "restricted", "blocked_words", "unfetchable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One emulator's behaviour.

    :param seed: Decides request ids, drawn seconds, drawn seeds and pictures.
    :param api_keys: The accepted keys; None accepts any non-empty key. Each key is a workspace of its own.
    :param queue_seconds: Fixed, or (shortest, longest) drawn per request; so is ``inference_seconds``.
    :param failed_http_status: The code that a FAILED body is served under, 422 or 200.
    :param outputs: Files that a completed request has.
    :param least_bytes: Size to which smaller files are filled up, with a part that players skip.
    :param record_ttl: Seconds after the submit for which a request is known.
    :param file_ttl: Seconds after completion for which a file can be downloaded.
    :param price_per_second: Credits per second of inference, for models without a fixed price.
    :param prices: Credits per completed request, by slug; goes before everything else.
    :param credits: Credits of each workspace before it bought anything.
    :param insufficient_status: 402 or 406.
    :param requests_per_minute: Per key; None is unlimited.
    :param polls_count: Whether status and result requests count towards the rate limit.
    :param retry_after: Whether a 429 carries ``Retry-After``.
    :param sync_limit_seconds: Seconds after which the synchronous API gives up, unbilled.
    :param blocked_words: A prompt with one of them fails by moderation.
    :param unfetchable: An image URL with one of these substrings cannot be downloaded.
    :param history_lag_seconds: Seconds after the submit before which the history has no row of a request.
    :param record_lag_seconds: Seconds by which a row's fields come later than the row, and those of the
        outcome later than the end of the run; they are null before.
    :param history_times: How the history writes points in time.
    :param upload_limit: Bytes of one uploaded file.
    :param upload_shape: The key under which an upload's URLs are answered.
    :param prerender: Whether a file is rendered when its request is first seen COMPLETED, not when fetched.
    """

    seed: int = 0
    api_keys: frozenset[str] | None = field(default=None, repr=False)
    models: tuple[Model, ...] = DEFAULT_MODELS
    retired: frozenset[str] = frozenset()
    restricted: frozenset[str] = frozenset()
    queue_seconds: Seconds = 0.2
    inference_seconds: Seconds = 1.0
    failed_http_status: int = 422
    result_shape: ResultShape = "video"
    outputs: int = 1
    least_bytes: int = 0
    record_ttl: float = 3600.0
    file_ttl: float = 7 * 86400.0
    price_per_second: float = 0.00105
    prices: Mapping[str, float] = field(default_factory=dict)
    credits: float = 100.0
    insufficient_status: int = 402
    requests_per_minute: int | None = None
    polls_count: bool = True
    reset_format: ResetFormat = "iso"
    retry_after: bool = False
    sync_limit_seconds: float = 100.0
    blocked_words: frozenset[str] = frozenset({"nsfw"})
    unfetchable: frozenset[str] = frozenset({"unreachable.invalid"})
    history_lag_seconds: float = 0.0
    record_lag_seconds: float = 0.0
    history_times: IsoFormat = "iso"
    upload_limit: int = 50_000_000
    upload_shape: UploadShape = "file_urls"
    fps: int = 24
    prerender: bool = True
    faults: tuple[FaultRule, ...] = ()

    def __post_init__(self) -> None:
        for name in _RANGES:
            shortest, longest = bounds(getattr(self, name))
            if not 0 <= shortest <= longest:
                raise ValueError(f"{name} must be seconds >= 0, or a (shortest, longest) pair")
        for name in _AMOUNTS:
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be >= 0")
        if any(price < 0 for price in self.prices.values()):
            raise ValueError("prices must be >= 0")
        if self.fps < 1 or self.outputs < 1:
            raise ValueError("fps and outputs must be >= 1")
        if not 0 <= self.least_bytes <= _LARGEST_FILE:
            raise ValueError(f"least_bytes must be 0 to {_LARGEST_FILE}")
        if self.requests_per_minute is not None and self.requests_per_minute < 1:
            raise ValueError("requests_per_minute must be >= 1, or None for no limit")
        _one_of("failed_http_status", self.failed_http_status, (200, 422))
        _one_of("insufficient_status", self.insufficient_status, (402, 406))
        _one_of("result_shape", self.result_shape, get_args(ResultShape))
        _one_of("history_times", self.history_times, get_args(IsoFormat))
        _one_of("upload_shape", self.upload_shape, get_args(UploadShape))
        _one_of("reset_format", self.reset_format, get_args(ResetFormat))

    def patched(self, changes: Mapping[str, Any]) -> Settings:
        """Return a copy with ``changes`` (JSON values); ``ValueError`` names what cannot be set."""
        known = {item.name for item in dataclasses.fields(self)} - _NOT_CHANGEABLE
        unknown = sorted(set(changes) - known)
        if unknown:
            raise ValueError(
                f"cannot be changed: {', '.join(unknown)}; changeable: {', '.join(sorted(known))}"
            )
        try:
            return dataclasses.replace(
                self, **{name: _native(name, value) for name, value in changes.items()}
            )
        except (TypeError, AttributeError) as error:
            raise ValueError(f"a setting has a value of the wrong type: {error}") from error


def bounds(seconds: Seconds) -> tuple[float, float]:
    """Return (shortest, longest) of a fixed or drawn duration."""
    if isinstance(seconds, tuple):
        shortest, longest = seconds
        return shortest, longest
    return seconds, seconds


def _native(name: str, value: Any) -> Any:
    if name in _RANGES and isinstance(value, list):
        return tuple(value)
    if name in _SETS:
        return frozenset(value)
    return value


def _one_of(name: str, value: object, allowed: Iterable[object]) -> None:
    choices = tuple(allowed)
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, not {value!r}")
