"""The environment of a stack's processes: the caller's, less what would make the stack somebody else's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# A developer's own credentials would make a test pass, or write to a real bucket, only on that machine.
_FOREIGN_PREFIXES = ("AIRFLOW_", "AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK_", "GCLOUD_", "GCP_", "BOTO_")
_FOREIGN_NAMES = frozenset(
    {
        "SEGMIND_API_KEY",  # reaches Airflow as a connection, or not at all
        "PYTHONDONTWRITEBYTECODE",  # four processes would compile the same modules at every boot
        "PYTHONSTARTUP",
        "PYTHONINSPECT",
        "OPENLINEAGE_URL",
        "OPENLINEAGE_API_KEY",
    }
)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_foreign(name: str) -> bool:
    return name.startswith(_FOREIGN_PREFIXES) or name in _FOREIGN_NAMES


def without_proxy_for_loopback(no_proxy: str) -> str:
    """The given list with the loopback names in it: the components talk to each other over HTTP."""
    names = [name.strip() for name in no_proxy.split(",") if name.strip()]
    if "*" in names:
        return no_proxy
    return ",".join([*names, *(name for name in _LOOPBACK if name not in names)])


def child_environment(base: Mapping[str, str], *, home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """What every process of the stack starts with; `extra` has the last word."""
    kept = {name: value for name, value in base.items() if not is_foreign(name)}
    no_proxy = without_proxy_for_loopback(kept.get("NO_PROXY", kept.get("no_proxy", "")))
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "PYTHONUNBUFFERED": "1",
        # A process title may not overwrite the environment: the processes of a stack are known by it.
        "SPT_NOENV": "1",
        **extra,
    }
