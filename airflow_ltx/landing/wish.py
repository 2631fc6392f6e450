"""How a request's files are to be landed: a value that workers and triggers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from airflow_ltx.landing.destination import Destination, parse_destination
from airflow_ltx.segmind.media import MAX_BYTES

IF_EXISTS = ("same", "overwrite", "error")


@dataclass(frozen=True, slots=True)
class Wish:
    """Where and how.

    :param if_exists: What if the name is taken: ``same`` (fine if it is this task instance's file, or the
        same bytes), ``overwrite`` or ``error`` (nothing but this request's file may be there).
    :param media: The kind that the file must be, such as ``video``; None takes any.
    :param max_bytes: Size above which a file is refused.
    :param every: Land all outputs of a request, not only the first one.
    :param own: Ids of this task instance's earlier requests, and hashes of what they made.
    """

    destination: Destination
    if_exists: str = "same"
    media: str | None = None
    max_bytes: int = MAX_BYTES
    every: bool = False
    own: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON primitives: an argument of a trigger."""
        return {
            "destination": self.destination.text,
            "destination_conn_id": self.destination.conn_id,
            "if_exists": self.if_exists,
            "media": self.media,
            "max_bytes": self.max_bytes,
            "every": self.every,
            "own": list(self.own),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Read :meth:`to_json`'s dict, of this or another version.

        :raises DestinationError: It names no destination that this version lands to.
        """
        return cls(
            destination=parse_destination(told["destination"], told.get("destination_conn_id")),
            if_exists=told.get("if_exists") or "same",
            media=told.get("media"),
            max_bytes=told.get("max_bytes") or MAX_BYTES,
            every=bool(told.get("every")),
            own=tuple(told.get("own") or ()),
        )
