"""The destination arguments of an operator, checked together; nothing is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_ltx.exceptions import InvalidParameter
from airflow_ltx.operators._arguments import is_literal

if TYPE_CHECKING:
    from airflow_ltx.landing.destination import Destination


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
        raise InvalidParameter(["destination_conn_id is given for a file:// destination, which needs none"])
    if destination.scheme == "file" and land_in == "triggerer":
        raise InvalidParameter(
            ["land_in is 'triggerer', and the triggerer's disk is not the worker's: use 'worker'"]
        )
    return destination


def check_literal_destination(uri: str | None, conn_id: str | None, land_in: str | None) -> None:
    """Check what is known when the DAG is parsed: the whole of a literal, or the scheme before a template."""
    if uri is not None and is_literal(uri, ()):
        destination_of(uri, conn_id, land_in)
    elif isinstance(uri, str):
        from airflow_ltx.landing.destination import check_scheme

        check_scheme(uri)
