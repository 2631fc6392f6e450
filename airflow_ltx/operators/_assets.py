"""Asset events: what consumers of the author's outlets are told of a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_ESCAPED = {ord(each): f"%{ord(each):02X}" for each in "%#?"}
_TOLD = ("uri", "request_id", "sha256", "cost")


def tell_outlets(outlets: Iterable[Any], events: Any, result: Mapping[str, Any]) -> None:
    """Fill the events of the outlets that the author declared.

    An asset's event says in ``extra`` which file it is. For an ``AssetAlias`` the file is an asset of its
    own; nothing else makes one, since each would be a row in Airflow's database for ever.

    :param events: ``outlet_events`` of the task's context; None where there is none.
    :param result: The task's return value.
    :raises ExceptionGroup: What kept some of them from being told. The others were.
    """
    if events is None:
        return
    errors: list[Exception] = []
    for outlet in outlets:
        try:
            _tell(outlet, events, result)
        except Exception as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("not every outlet could be told", errors)


def _tell(outlet: Any, events: Any, result: Mapping[str, Any]) -> None:
    from airflow.sdk import Asset, AssetAlias
    from airflow.sdk.definitions.asset import AssetRef

    extra = {name: result.get(name) for name in _TOLD if result.get(name) is not None}
    if isinstance(outlet, Asset | AssetRef):
        events[outlet].extra.update(extra)
    elif isinstance(outlet, AssetAlias) and result.get("uri"):
        for file in result.get("files") or (result,):
            own = {"uri": file["uri"], "sha256": file["sha256"]}
            events[outlet].add(Asset(uri=_identifier(str(file["uri"]))), extra={**extra, **own})


def _identifier(uri: str) -> str:
    """Airflow cuts an asset's URI at ``#`` and sorts what follows a ``?``: files of different names would be
    one asset. In object storage no name has either."""
    return uri.translate(_ESCAPED) if uri.startswith("file:") else uri
