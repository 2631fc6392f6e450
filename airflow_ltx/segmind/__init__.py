"""The Segmind API as plain Python. Knows nothing of Airflow.

``SegmindClient`` and ``AsyncSegmindClient`` are loaded on first use, since they bring httpx with them::

    from airflow_ltx.segmind import ClientConfig, SegmindClient

    with SegmindClient(ClientConfig(api_key="SG_...")) as client:
        request = client.submit("ltx-video", {"prompt": "..."})
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.models import (
    Credits,
    Metrics,
    Output,
    RequestResult,
    RequestStatus,
    State,
    SubmittedRequest,
)

if TYPE_CHECKING:
    from airflow_ltx.segmind.client import AsyncSegmindClient, SegmindClient

__all__ = [
    "AsyncSegmindClient",
    "ClientConfig",
    "Credits",
    "Metrics",
    "Output",
    "RequestResult",
    "RequestStatus",
    "SegmindClient",
    "State",
    "SubmittedRequest",
]


def __getattr__(name: str) -> Any:
    if name in ("SegmindClient", "AsyncSegmindClient"):
        from airflow_ltx.segmind import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
