"""The landing routine: one finished file from the file host to its destination."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airflow_ltx.exceptions import DestinationError, DownloadFailed
from airflow_ltx.landing.destination import Destination
from airflow_ltx.segmind.download import open_download
from airflow_ltx.segmind.models import Output
from airflow_ltx.segmind.redact import without_query
from airflow_ltx.segmind.retry import DOWNLOAD, retrying
from airflow_ltx.segmind.whole_file import Written, check_writable, write_whole

LANDING_LIMIT = 600.0
"""Seconds that a landing may take, with all its attempts."""


@dataclass(frozen=True, slots=True)
class Landed:
    """A file at its destination. ``size`` in bytes, ``sha256`` as hex."""

    uri: str
    size: int
    sha256: str
    content_type: str | None


def prepare(destination: Destination) -> None:
    """Check, before money is spent, that the destination can be written from here.

    :raises DestinationError: It cannot.
    """
    check_writable(Path(destination.directory), None if destination.folder else destination.path.name)


def land(
    output: Output,
    destination: Destination,
    request_id: str,
    *,
    limit: float = LANDING_LIMIT,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Landed:
    """Copy a finished file to its destination. Free of charge; repeated through broken downloads.

    :param limit: Seconds for all attempts together.
    :raises DownloadFailed: The file host did not give the whole file. Nothing partial is visible.
    :raises DestinationError: The destination refused. Nothing partial is visible.
    """
    deadline = clock() + limit

    def attempt() -> Landed:
        with open_download(output.url, deadline=deadline, clock=clock) as (announced, chunks):
            content_type = _media_type(announced.content_type, output.content_type)
            target = Path(destination.file_for(request_id, content_type, output.url))
            written: Written = write_whole(target, chunks)
        return Landed(f"file://{target}", written.size, written.sha256, content_type)

    try:
        landed: Landed = retrying(DOWNLOAD, deadline=deadline, clock=clock, sleep=sleep)(attempt)
    except (DownloadFailed, DestinationError) as error:
        error.request_id = request_id
        if isinstance(error, DestinationError):
            error.add("Make room, or correct its permissions.")
        error.add(f"The file of request {request_id} is paid for: {without_query(output.url)}.")
        raise
    return landed


def _media_type(served: str | None, announced: str | None) -> str | None:
    # File hosts serve what they do not know as octet-stream; the record knows better then.
    if served in (None, "application/octet-stream", "binary/octet-stream"):
        return announced or served
    return served
