"""Where records are kept, behind one protocol: what cannot be read is never taken for "no record"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from airflow_ltx.durability.record import Record
from airflow_ltx.exceptions import ConfigurationError, RecordUnavailable


class RecordStore(Protocol):
    """A place for one task instance's record.

    :raises RecordUnavailable: It cannot be reached.
    :raises DestinationError: It never can, as the destination's connection is.
    :raises ConfigurationError: What is there cannot be understood.
    """

    def read(self) -> Record | None:
        """The record, None if there certainly is none."""

    def write(self, record: Record) -> None:
        """Keep the record in place of the earlier one."""


class Everywhere:
    """A record kept in several stores, in their order."""

    def __init__(self, stores: Iterable[RecordStore]) -> None:
        self.stores = tuple(stores)

    def write(self, record: Record) -> list[RecordUnavailable]:
        """Write to all, also past those that fail; returns their errors."""
        errors = []
        for store in self.stores:
            try:
                store.write(record)
            except RecordUnavailable as error:
                errors.append(error)
        return errors


def understood(kept: Any, where: str, way_out: str) -> Record:
    """Read what a store holds.

    :raises ConfigurationError: It is no record that this version can read.
    """
    record = Record.from_json(kept)
    if record is None:
        raise ConfigurationError(
            f"{where} holds no record that this version can read: {kept!r:.200}. It may stand for a request "
            "that was paid for, so nothing is bought. Look at the request in the Segmind console, then "
            f"{way_out} and run the task again."
        )
    return record


def unavailable(doing: str, error: BaseException) -> RecordUnavailable:
    """The error of a store that cannot be reached."""
    return RecordUnavailable(f"{doing} failed ({type(error).__name__}: {error}).")
