"""The destination arguments of an operator, checked together; nothing is touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_ltx.exceptions import DestinationError, InvalidParameter
from airflow_ltx.operators._arguments import is_literal
from airflow_ltx.operators._mapped import UNKNOWN, argument, shared, takes

if TYPE_CHECKING:
    from airflow_ltx.durability.record import Record
    from airflow_ltx.landing.destination import Destination
    from airflow_ltx.landing.wish import Wish


def destination_of(uri: str | None, conn_id: str | None, land_in: str | None) -> Destination | None:
    """Read what was rendered. Imports the landing only if there is something to land.

    :raises DestinationError: The URI cannot work.
    :raises InvalidParameter: The others do not go with it.
    """
    if uri is None:
        return None
    from airflow_ltx.landing.destination import parse_destination

    destination = parse_destination(uri)
    if conn_id is not None:
        if not destination.remote:
            raise InvalidParameter(
                ["destination_conn_id is given for a file:// destination, which needs none"]
            )
        destination = parse_destination(uri, str(conn_id))
    if not destination.remote and land_in == "triggerer":
        raise InvalidParameter(
            ["land_in is 'triggerer', and the triggerer's disk is not the worker's: use 'worker'"]
        )
    return destination


def wish_of(destination: Destination | None, given: Mapping[str, Any]) -> Wish | None:
    """How files are landed: ``destination`` and the operator's other arguments.

    :raises ConfigurationError: An option of ``[segmind]`` is no number.
    """
    if destination is None:
        return None
    from airflow_ltx.landing.settings import max_bytes
    from airflow_ltx.landing.wish import Wish

    return Wish(
        destination,
        if_exists=given.get("if_exists") or "same",
        media=given.get("media"),
        max_bytes=max_bytes(),
        every=bool(given.get("land_all")),
    )


def owned(record: Record) -> tuple[str, ...]:
    """By what a file is known to be this task instance's: ids of its requests, hashes of what they made."""
    return (*record.ids, *record.made)


def can_look(record: Record) -> bool:
    """Whether a file that is there and not :func:`owned` is somebody else's.

    Not while something is outstanding, whose file an earlier try may have put there and not lived to note.
    """
    return not any(
        purchase.outstanding or (purchase.phase.value == "landed" and purchase.result is None)
        for purchase in record.purchases
    )


def check_literal_destination(uri: str | None, conn_id: str | None, land_in: str | None) -> None:
    """Check what is known when the DAG is parsed: the whole of a literal, or the scheme before a template."""
    if uri is not None and is_literal(uri, ()) and is_literal(conn_id, ()):
        destination_of(uri, conn_id, land_in)
    elif isinstance(uri, str):
        from airflow_ltx.landing.destination import check_scheme

        check_scheme(uri)


def check_mapped(context: Mapping[str, Any], destination: Destination | None) -> None:
    """Check that an index of a mapped task, or of a mapped group's task, does not put its file where another
    one puts its own: a file without ``{request_id}``, of which nothing that its author wrote can tell them
    apart.

    :raises DestinationError: It does.
    """
    ti, dag = context["ti"], context.get("dag")
    if destination is None or destination.by_request or ti.map_index < 0 or dag is None:
        return
    task = dag.get_task(ti.task_id)
    if not shared(task, dag, _telling(destination, task), ti.map_index):
        return
    error = DestinationError(
        f"The destination {destination.uri(destination.path)} is the same file for more than one index of "
        "this mapped task. End it with a slash to name a folder, or put {request_id} or {{ ti.map_index }} "
        "into its name. Nothing was written."
    )
    error.retryable = False
    raise error


def _telling(destination: Destination, task: Any) -> dict[str, object]:
    """The arguments that may tell the indexes' files apart, and what they stand for where they are not
    given."""
    told: dict[str, object] = {"destination": None}
    uri = argument(task, "destination")
    # A connection in the URI is the only one that goes with it.
    if destination.remote and not (isinstance(uri, str) and "@" in uri):
        told["destination_conn_id"] = None
    # An operator that takes no model has one of its own, and a transfer learns it from the request. The other
    # placeholders never tell.
    if "{model}" in destination.path and takes(task, "model"):
        told["model"] = UNKNOWN
    return told
