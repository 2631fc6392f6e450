"""airflow.cfg of a local stack: what differs from stock, and why.

A file rather than variables: a shell with this AIRFLOW_HOME then sees the same Airflow, and Airflow does not
write a default one of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Settings = Mapping[str, Mapping[str, str]]

# Everything a developer would otherwise wait for: a changed file, a finished trigger, a dead process.
QUICK: Settings = {
    "core": {"min_serialized_dag_update_interval": "1"},
    "scheduler": {
        "scheduler_idle_sleep_time": "0.1",
        "scheduler_heartbeat_sec": "1",
        "job_heartbeat_sec": "1",
        "max_tis_per_query": "0",
        "trigger_timeout_check_interval": "1",
        "task_instance_heartbeat_timeout": "15",
        "task_instance_heartbeat_timeout_detection_interval": "2",
        "orphaned_tasks_check_interval": "10",
    },
    "dag_processor": {
        "refresh_interval": "5",
        "min_file_process_interval": "5",
        "bundle_refresh_check_interval": "1",
    },
    "triggerer": {"job_heartbeat_sec": "1", "triggerer_health_check_threshold": "5"},
    # A finished leg is noticed at the supervisor's next wake-up, and holds its slot until then.
    "workers": {"min_heartbeat_interval": "1"},
}

# SQLite has one writer at a time and four processes write: waiting beats "database is locked" after 5 s.
SQLITE_TIMEOUT = 60


@dataclass(frozen=True)
class Secrets:
    """Keys of one stack, never shared with another."""

    fernet: str
    jwt: str
    session: str


@dataclass(frozen=True)
class Layout:
    """Where one stack keeps its things."""

    home: Path

    @property
    def config(self) -> Path:
        return self.home / "airflow.cfg"

    @property
    def database(self) -> Path:
        return self.home / "airflow.db"

    @property
    def passwords(self) -> Path:
        return self.home / "passwords.json"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def plugins(self) -> Path:
        return self.home / "plugins"

    @property
    def modules(self) -> Path:
        """Airflow itself puts this directory on the module path of all its processes."""
        return self.home / "config"


def database_url(path: Path) -> str:
    return f"sqlite:///{path}?timeout={SQLITE_TIMEOUT}"


def bundles(folders: Sequence[Path]) -> str:
    """One bundle per folder; the number keeps two folders of the same name apart."""
    return json.dumps(
        [
            {
                "name": f"{number}-{folder.name}",
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(folder)},
            }
            for number, folder in enumerate(folders)
        ]
    )


def base_settings(
    layout: Layout,
    folders: Sequence[Path],
    *,
    port: int,
    log_port: int,
    username: str,
    secrets: Secrets,
    parallelism: int,
) -> Settings:
    """What every local stack needs, quick or stock: loopback only, no calls outside, its own keys."""
    url = f"http://127.0.0.1:{port}"
    return {
        "core": {
            "dags_folder": str(folders[0]),
            "plugins_folder": str(layout.plugins),
            "executor": "LocalExecutor",
            "parallelism": str(parallelism),
            "load_examples": "False",
            "fernet_key": secrets.fernet,
            "execution_api_server_url": f"{url}/execution/",
            "simple_auth_manager_users": f"{username}:admin",
            "simple_auth_manager_all_admins": "False",
            "simple_auth_manager_passwords_file": str(layout.passwords),
            # The stock one asks the resolver for this machine's full name.
            "hostname_callable": "loopback_host.name",
        },
        "database": {
            "sql_alchemy_conn": database_url(layout.database),
            "load_default_connections": "False",
        },
        "logging": {
            "base_log_folder": str(layout.logs),
            "dag_processor_child_process_log_directory": str(layout.logs / "dag_processor"),
            "colored_console_log": "False",
            "worker_log_server_port": str(log_port),
            "trigger_log_server_port": str(log_port),
        },
        "api": {"host": "127.0.0.1", "port": str(port), "base_url": url, "secret_key": secrets.session},
        "api_auth": {"jwt_secret": secrets.jwt},
        "dag_processor": {"dag_bundle_config_list": bundles(folders)},
        "usage_data_collection": {"enabled": "False"},
    }


def merge(*layers: Settings) -> dict[str, dict[str, str]]:
    """Later layers win, option by option."""
    merged: dict[str, dict[str, str]] = {}
    for layer in layers:
        for section, options in layer.items():
            merged.setdefault(section, {}).update(options)
    return merged


def render(settings: Settings) -> str:
    """The text of airflow.cfg. A percent sign starts an interpolation there, a line break a new option."""
    lines: list[str] = []
    for section, options in settings.items():
        lines.append(f"[{section}]")
        for key, value in options.items():
            if "\n" in value:
                raise ValueError(f"[{section}] {key}: a line break cannot stand in airflow.cfg: {value!r}")
            lines.append(f"{key} = {value.replace('%', '%%')}")
        lines.append("")
    return "\n".join(lines)
