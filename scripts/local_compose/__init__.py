"""`docker-compose.yaml` without docker, for a test: its services as processes. See `LocalCompose`."""

from __future__ import annotations

from local_compose.file import Mount, Service, read_services
from local_compose.stack import LocalCompose

__all__ = ["LocalCompose", "Mount", "Service", "read_services"]
