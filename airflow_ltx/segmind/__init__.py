"""The Segmind API as plain Python. Knows nothing of Airflow.

Names are loaded on first use, so that a module that needs the model's parameters alone brings no httpx::

    from airflow_ltx.segmind import ClientConfig, SegmindClient

    with SegmindClient(ClientConfig(api_key="SG_...")) as client:
        request = client.submit("ltx-video", {"prompt": "..."})
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_ltx.segmind.async_client import AsyncSegmindClient
    from airflow_ltx.segmind.client import SegmindClient
    from airflow_ltx.segmind.endpoints import ClientConfig
    from airflow_ltx.segmind.ltx import LTXVideoParameters
    from airflow_ltx.segmind.models import (
        Credits,
        HistoryEntry,
        HistoryPage,
        Metrics,
        Output,
        RequestResult,
        RequestStatus,
        State,
        SubmittedRequest,
        SyncResult,
    )

__all__ = [
    "AsyncSegmindClient",
    "ClientConfig",
    "Credits",
    "HistoryEntry",
    "HistoryPage",
    "LTXVideoParameters",
    "Metrics",
    "Output",
    "RequestResult",
    "RequestStatus",
    "SegmindClient",
    "State",
    "SubmittedRequest",
    "SyncResult",
]

_HOMES = {
    "AsyncSegmindClient": "async_client",
    "SegmindClient": "client",
    "ClientConfig": "endpoints",
    "LTXVideoParameters": "ltx",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'models')}"), name)
