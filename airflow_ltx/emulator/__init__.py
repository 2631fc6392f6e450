"""A local Segmind: the same API, real MP4 files, a ledger of what would have been billed, scripted faults.

``python -m airflow_ltx.emulator --help`` starts it. In a test::

    from airflow_ltx.emulator import Settings, running_emulator

    with running_emulator(Settings(inference_seconds=0.1)) as emulator:
        ...  # point the connection's host at emulator.base_url
        assert emulator.ledger.billed_total() == 0.000105

Names are loaded when first used, and only the server needs ``aiohttp``, ``av`` and ``pillow``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_ltx.emulator.catalogue import Model
    from airflow_ltx.emulator.core import EmulatorCore
    from airflow_ltx.emulator.faults import FaultRule
    from airflow_ltx.emulator.ledger import Ledger
    from airflow_ltx.emulator.messages import EmulatedRequest, EmulatedResponse
    from airflow_ltx.emulator.running import RunningEmulator, running_emulator
    from airflow_ltx.emulator.server import EmulatorServer
    from airflow_ltx.emulator.settings import Settings

__all__ = [
    "EmulatedRequest",
    "EmulatedResponse",
    "EmulatorCore",
    "EmulatorServer",
    "FaultRule",
    "Ledger",
    "Model",
    "RunningEmulator",
    "Settings",
    "running_emulator",
]

_HOMES = {
    "EmulatedRequest": "messages",
    "EmulatedResponse": "messages",
    "EmulatorCore": "core",
    "EmulatorServer": "server",
    "FaultRule": "faults",
    "Ledger": "ledger",
    "Model": "catalogue",
    "RunningEmulator": "running",
    "Settings": "settings",
    "running_emulator": "running",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
