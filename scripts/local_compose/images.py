"""What images bring along that the file does not say, and where processes differ outside a container."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from local_compose.file import Service

AIRFLOW_HOME = "/opt/airflow"
_LOOPBACK_HOST = 'def name() -> str:\n    return "127.0.0.1"\n'


def is_airflow(service: Service) -> bool:
    return service.base.startswith("apache/airflow:")


def is_postgres(service: Service) -> bool:
    return service.base.startswith("postgres:")


def postgres_data(service: Service) -> str:
    """The folder in the container: since version 18 below the volume, by version."""
    major = service.base.removeprefix("postgres:").partition(".")[0]
    return f"/var/lib/postgresql/{major}/docker"


def airflow_deviations(home: Path, log_port: int) -> dict[str, str]:
    """Variables for processes that share a host.

    Nothing makes Airflow's log servers stay on loopback, and it takes their address from the host's name.
    """
    modules = home / "config"
    modules.mkdir(parents=True, exist_ok=True)
    # Airflow itself puts this folder on the module path.
    (modules / "loopback_host.py").write_text(_LOOPBACK_HOST)
    return {
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "loopback_host.name",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(log_port),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(log_port),
    }


def without_log_server(arguments: Sequence[str]) -> list[str]:
    """The command, less the log server: logs are in a folder that the api-server shares."""
    serves = list(arguments[:2]) in (["airflow", "scheduler"], ["airflow", "triggerer"])
    return [*arguments, "--skip-serve-logs"] if serves else list(arguments)
