"""Which Segmind: the local emulator, or the real one when a key is given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

REAL_URL = "https://api.segmind.com"
# Average on the service's own model page for ltx-video.
USUAL_COST = 0.057


@dataclass(frozen=True)
class Service:
    """Where videos are made and with which key, which no text of this object shows."""

    base_url: str
    key: str = field(repr=False)
    emulated: bool

    def connection(self) -> str:
        """The value of AIRFLOW_CONN_SEGMIND_DEFAULT."""
        return json.dumps({"conn_type": "segmind", "host": self.base_url, "password": self.key})

    def announcement(self) -> str:
        if self.emulated:
            return f"Service: local emulator at {self.base_url} (no key, nothing is billed)"
        return (
            f"Service: {self.base_url} with the key of SEGMIND_API_KEY.\n"
            f"Each video costs about 0.06 USD (on average, says the model's page: ${USUAL_COST}). The demo "
            "buys one."
        )


def configured_service(environment: Mapping[str, str]) -> Service | None:
    """The service that the environment asks for; None means the emulator."""
    key = environment.get("SEGMIND_API_KEY", "").strip()
    if not key:
        return None
    base_url = environment.get("SEGMIND_BASE_URL", "").strip() or REAL_URL
    return Service(base_url=base_url.rstrip("/"), key=key, emulated=False)
