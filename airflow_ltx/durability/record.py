"""The record of one task instance's request, and what a try makes of it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self
from urllib.parse import urlsplit

from airflow_ltx.exceptions import InvalidParameter
from airflow_ltx.segmind.numbers import number_or_none
from airflow_ltx.segmind.protocol import check_request_id
from airflow_ltx.segmind.redact import without_query

VERSION = 1


@dataclass(frozen=True, slots=True)
class Record:
    """A request that was bought for this task instance.

    :param fingerprint: Of the model and its parameters, see :func:`fingerprint`.
    :param submitted_at: Epoch seconds.
    :param max_tries: The task instance's ``max_tries`` at the time; another number means that a person
        cleared the task since.
    :param try_number: The try that bought it.
    :param settled: Nothing is left to collect: the task succeeded, or the service forgot the request.
    """

    request_id: str
    model: str
    fingerprint: str
    submitted_at: float
    max_tries: int | None = None
    try_number: int | None = None
    settled: bool = False

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON primitives."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: Any) -> Self | None:
        """Read :meth:`to_json`'s dict; None if it is something else."""
        if not isinstance(data, Mapping) or not isinstance(data.get("request_id"), str):
            return None
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        try:
            record = cls(**known)
            check_request_id(record.request_id)
        except (TypeError, InvalidParameter):
            return None
        texts: tuple[Any, ...] = (record.model, record.fingerprint)
        moment = number_or_none(record.submitted_at)
        settled: Any = record.settled
        whole = all(isinstance(text, str) for text in texts) and isinstance(settled, bool)
        return record if whole and moment is not None and moment == record.submitted_at else None


class Step(StrEnum):
    """What a try does first."""

    SUBMIT = "submit"
    REATTACH = "reattach"


@dataclass(frozen=True, slots=True)
class Decision:
    """A step and the reason for it; ``abandoned`` is the id of a request that this try leaves behind."""

    step: Step
    reason: str
    abandoned: str | None = None


def decide(record: Record | None, wanted: str, max_tries: int | None) -> Decision:
    """Whether this try buys, or takes up what an earlier try bought.

    :param wanted: Fingerprint of what this try would submit.
    :param max_tries: The task instance's, as it is now.
    """
    if record is None:
        return Decision(Step.SUBMIT, "no earlier request of this task instance is on record")
    if record.fingerprint != wanted:
        return Decision(
            Step.SUBMIT,
            "the model or its parameters differ from those of the recorded request; a prompt that differs on "
            "every try is bought on every try",
            abandoned=None if record.settled and record.max_tries != max_tries else record.request_id,
        )
    if record.settled and record.max_tries != max_tries:
        return Decision(Step.SUBMIT, "the task was cleared after its earlier request was settled")
    return Decision(Step.REATTACH, "an earlier try of this task instance bought the same request")


def fingerprint(model: str, parameters: Mapping[str, Any]) -> str:
    """A digest of what is bought. URLs count without their query: a link signed anew is the same picture."""
    canonical = json.dumps(
        {"model": model, "parameters": _unsigned(dict(parameters))}, sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def _is_url(text: str) -> bool:
    if any(map(str.isspace, text)):
        return False
    try:
        return urlsplit(text).scheme in ("http", "https")
    except ValueError:
        return False


def _unsigned(value: Any) -> Any:
    if isinstance(value, str):
        return without_query(value) if _is_url(value) else value
    if isinstance(value, Mapping):
        return {key: _unsigned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_unsigned(item) for item in value]
    return value
