"""A request as tasks know it: bought by this very task, or given by another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, Self

from airflow_ltx.exceptions import InvalidParameter


class Request(Protocol):
    """What is known of a request. ``submitted_at``: epoch seconds, None if another task did not say."""

    @property
    def request_id(self) -> str: ...
    @property
    def model(self) -> str | None: ...
    @property
    def submitted_at(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class GivenRequest:
    """A request that something else submitted."""

    request_id: str
    model: str | None = None
    submitted_at: float | None = None

    @classmethod
    def read(cls, value: Any) -> Self:
        """Take an id, or the return value of the task that submitted the request.

        :raises InvalidParameter: It is neither.
        """
        told: Mapping[str, Any] = value if isinstance(value, Mapping) else {"request_id": value}
        request_id = told.get("request_id")
        # "None" is what a template over an absent XCom renders, and a URL may be signed.
        if not isinstance(request_id, str) or request_id.strip() in ("", "None") or "://" in request_id:
            raise InvalidParameter(
                [
                    f"request_id is {_shown(value)}; it must be the id of a request, or the return value of "
                    "the task that submitted it"
                ]
            )
        from airflow_ltx.segmind.protocol import check_request_id

        model = told.get("model")
        return cls(
            request_id=check_request_id(request_id.strip()),
            model=model if isinstance(model, str) and model else None,
            submitted_at=_epoch(told.get("submitted_at")),
        )


def _epoch(moment: Any) -> float | None:
    if isinstance(moment, int | float) and not isinstance(moment, bool):
        return float(moment)
    try:
        read = datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        # A time that cannot be read is one that is not known; the request can be waited for all the same.
        return None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a mapping with the keys {sorted(map(str, value))}"
    return f"{_unsigned(value)!r:.80}"


def _unsigned(value: Any) -> Any:
    return value.partition("?")[0] if isinstance(value, str) and "://" in value else value
