"""A request's files that are at their destination, though no record says so: whoever landed them died before
it could note that."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_ltx.landing.naming import NamedFile, content_types

if TYPE_CHECKING:
    from airflow_ltx.landing.land import Landed
    from airflow_ltx.landing.place import Place
    from airflow_ltx.landing.wish import Wish
    from airflow_ltx.operators._attempt import Attempt
    from airflow_ltx.operators._plan import Plan
    from airflow_ltx.request import Request


def files_there(attempt: Attempt, plan: Plan, request: Request) -> tuple[Landed, ...]:
    """What is there of a request that the service has forgotten, the main file first.

    Each is whole, since nothing partial ever has the name.

    :raises DestinationError: That cannot be told.
    """
    wish, purchase = plan.wish, attempt.purchase
    if wish is None:
        return ()
    noted = (purchase.result or {}).get("sha256") if purchase is not None else None
    found = tuple(_look(wish, request))
    if noted is not None and not all(file.sha256 in attempt.record.made for file in found):
        # It was noted which file it was, and this one is spoilt.
        return ()
    return found


def _look(wish: Wish, request: Request) -> Iterator[Landed]:
    from airflow_ltx.landing.place import place_of

    place = place_of(wish.destination)
    for number in itertools.count(1) if wish.every else (1,):
        landed = _file(place, wish, request, number)
        if landed is None:
            return
        yield landed


def _file(place: Place, wish: Wish, request: Request, number: int) -> Landed | None:
    from airflow_ltx.landing.land import Landed

    destination = wish.destination
    names: dict[str, str] = {}
    for content_type in content_types(wish.media):
        file = NamedFile(request.request_id, content_type, "", request.model, number)
        names.setdefault(destination.file_for(file), content_type)
    for path, content_type in names.items():
        found = place.find(path)
        if found is None:
            continue
        # A storage that keeps no such mark has the name alone.
        by_name = found.request_id is None and destination.by_request
        sha256 = place.sha256(path) if by_name or found.request_id == request.request_id else None
        if sha256 is not None:
            return Landed(destination.uri(path), found.size, sha256, content_type)
    return None
