"""A request as tasks know it: bought by this very task, or given by another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from airflow_ltx.exceptions import InvalidParameter
from airflow_ltx.segmind.coerce import shown


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
            what = f"a mapping with the keys {shown(list(value))}" if told is value else shown(value)
            several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
            advice = "; for several requests write .partial(...).expand(request_id=...)" if several else ""
            raise InvalidParameter(
                [
                    f"request_id is {what}; it must be the id of a request, or the return value of the task "
                    f"that submitted it{advice}"
                ]
            )
        from airflow_ltx.segmind.moments import moment_or_none
        from airflow_ltx.segmind.protocol import check_request_id

        model = told.get("model")
        return cls(
            request_id=check_request_id(request_id.strip()),
            model=model if isinstance(model, str) and model else None,
            submitted_at=moment_or_none(told.get("submitted_at")),
        )
