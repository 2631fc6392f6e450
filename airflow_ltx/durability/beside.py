"""Records as small JSON files under ``_segmind/``, beside the videos that they are of."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

from airflow_ltx.durability.record import Record
from airflow_ltx.durability.store import unavailable, understood
from airflow_ltx.exceptions import DestinationError

FOLDER = "_segmind"

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Whose:
    """The task instance that a record is of: shared by all its tries."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int

    @classmethod
    def of(cls, ti: Any) -> Self:
        """Of the running task instance."""
        return cls(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)

    @property
    def file_name(self) -> str:
        """Readable at its beginning, unique by its end, and a file's name everywhere."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]
        index = f".{self.map_index}" if self.map_index >= 0 else ""
        return f"{_NOT_IN_NAMES.sub('-', self.task_id)[:_LONGEST_NAME]}{index}.{digest}.json"


class Files(Protocol):
    """The storage of a destination, as far as records need it; raises ``DestinationError``."""

    def read(self, path: str) -> bytes | None:
        """A file's content, None if there certainly is none."""

    def write(self, path: str, content: bytes, content_type: str) -> None:
        """Put a file, whole, in place of an earlier one."""


class FileStore:
    """In the storage of the videos; see :class:`~airflow_ltx.durability.store.RecordStore`.

    :param directory: Where the videos go. Records lie in a folder of its own in it.
    """

    def __init__(self, files: Files, directory: str, whose: Whose) -> None:
        self._files = files
        self._whose = whose
        self.path = f"{directory.rstrip('/')}/{FOLDER}/{whose.file_name}"
        if not directory:
            self.path = self.path.removeprefix("/")

    def read(self) -> Record | None:
        """See the protocol."""
        try:
            text = self._files.read(self.path)
        except DestinationError as error:
            if not error.retryable:
                # What is wrong with the destination's connection is no trouble with the record.
                raise
            raise unavailable(f"Reading the record {self.path}", error) from error
        if text is None:
            return None
        kept: Any
        try:
            kept = json.loads(text)
        except ValueError:
            kept = text
        return understood(kept, f"The file {self.path}", "delete the file")

    def write(self, record: Record) -> None:
        """See the protocol. Whole or not at all: a reader finds the earlier record or this one."""
        told = {"task_instance": asdict(self._whose), **record.to_json()}
        try:
            self._files.write(self.path, json.dumps(told, indent=1).encode(), "application/json")
        except DestinationError as error:
            raise unavailable(f"Writing the record {self.path}", error) from error
