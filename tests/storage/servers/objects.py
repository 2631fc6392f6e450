"""What a test may ask of a bucket, whatever serves it.

Asked with the backend's own client: neither code of ours nor fsspec stands between a test and the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Facts:
    """What the backend says of one object beside its bytes.

    Names of metadata are in lower case; Ceph's gateway also makes a dash of an underscore.
    """

    size: int
    content_type: str | None
    metadata: dict[str, str]


class Objects(Protocol):
    """The backend's own client; a name that is not there raises what that client raises."""

    def make_bucket(self, bucket: str) -> None: ...

    def remove_bucket(self, bucket: str) -> None:
        """With everything in it, unfinished uploads too."""

    def names(self, bucket: str) -> list[str]:
        """Of every object, sorted."""

    def read(self, bucket: str, name: str) -> bytes: ...

    def facts(self, bucket: str, name: str) -> Facts: ...

    def put(
        self, bucket: str, name: str, data: bytes, content_type: str, metadata: Mapping[str, str]
    ) -> None: ...

    def unfinished_uploads(self, bucket: str) -> list[str]:
        """Names under which parts wait for an end that may never come; empty where none can be listed."""
