"""What is at the destination already of a request, so that another try need not copy it again."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_ltx.landing.land import Landed
from airflow_ltx.landing.naming import NamedFile
from airflow_ltx.landing.place import place_of
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind.models import Output


def found_there(
    outputs: Sequence[Output], wish: Wish, request_id: str, *, model: str | None = None
) -> tuple[Landed, ...]:
    """A request's files as its landing would leave them, if all of them are there with its mark; else none.

    Only whole files have the mark. They are read for their hashes. Without a mark, as on a disk, a landing
    compares the bytes, and leaves what is the same.

    :raises DestinationError: The destination does not tell.
    """
    if wish.if_exists == "overwrite":
        return ()
    found = []
    for number, output in enumerate(outputs if wish.every else outputs[:1], 1):
        landed = _found(output, wish, NamedFile(request_id, output.content_type, output.url, model, number))
        if landed is None:
            return ()
        found.append(landed)
    return tuple(found)


def _found(output: Output, wish: Wish, file: NamedFile) -> Landed | None:
    destination = wish.destination
    path = destination.file_for(file)
    place = place_of(destination)
    there = place.find(path)
    if there is None or there.request_id != file.request_id:
        return None
    if output.file_size not in (None, there.size):
        return None
    sha256 = place.sha256(path)
    if sha256 is None:
        return None
    return Landed(destination.uri(path), there.size, sha256, output.content_type)
