"""What of a compose file decides how its services run."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from local_compose.interpolation import interpolate

_READ = {
    "image",
    "build",
    "entrypoint",
    "command",
    "environment",
    "healthcheck",
    "depends_on",
    "expose",
    "ports",
}
_READ |= {"volumes"}
# How an image is got, and as whom and in which network its process runs, makes no difference here.
_IGNORED = {"pull_policy", "user", "network_mode"}

COMPLETED = "service_completed_successfully"
HEALTHY = "service_healthy"
STARTED = "service_started"


@dataclass(frozen=True)
class Mount:
    """A folder of the checkout (`./...`) or a named volume, and where the container sees it."""

    source: str
    target: str
    read_only: bool

    @property
    def is_folder(self) -> bool:
        return self.source.startswith((".", "/", "~"))


@dataclass(frozen=True)
class Service:
    """One service, its variables filled in.

    `base` is the image it starts from, that of the Dockerfile where this project builds one. `test` is the
    command of the health check, None for a service without. `depends_on` gives the condition for each name.
    """

    name: str
    base: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    test: tuple[str, ...] | None
    ports: tuple[int, ...]
    mounts: tuple[Mount, ...]
    depends_on: Mapping[str, str]

    @property
    def arguments(self) -> list[str]:
        return [*self.entrypoint, *self.command]


def load(path: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """The parsed file with `variables` filled in."""
    document = yaml.safe_load(path.read_text())
    if not isinstance(document, dict):
        raise ValueError(f"{path} is no mapping")  # noqa: TRY004 - about the file's text
    return {str(key): interpolate(value, variables) for key, value in document.items()}


def read_services(path: Path, variables: Mapping[str, str]) -> dict[str, Service]:
    """The services in the order of the file. ValueError where a local run would leave something out."""
    services = load(path, variables)["services"]
    bases = {entry["image"]: _base(entry["build"]) for entry in services.values() if "build" in entry}
    return {name: _service(name, entry, bases) for name, entry in services.items()}


def _service(name: str, entry: Mapping[str, Any], bases: Mapping[str, str]) -> Service:
    if unknown := set(entry) - _READ - _IGNORED:
        raise ValueError(f"{name}: a local run knows nothing of {', '.join(sorted(unknown))}")
    return Service(
        name=name,
        base=bases.get(entry["image"], entry["image"]),
        entrypoint=_words(entry.get("entrypoint")),
        command=_words(entry.get("command")),
        environment=_environment(name, entry.get("environment", {})),
        test=_test(entry["healthcheck"]["test"]) if "healthcheck" in entry else None,
        ports=_ports((*entry.get("expose", ()), *entry.get("ports", ()))),
        mounts=tuple(_mount(name, text) for text in entry.get("volumes", ())),
        depends_on={other: how["condition"] for other, how in entry.get("depends_on", {}).items()},
    )


def _base(build: Mapping[str, Any]) -> str:
    found = re.findall(r"^FROM (\S+)", build["dockerfile_inline"], re.MULTILINE)
    if len(found) != 1:
        raise ValueError(f"a Dockerfile with {len(found)} stages")
    return str(found[0])


def _words(value: str | list[str] | None) -> tuple[str, ...]:
    return tuple(shlex.split(value)) if isinstance(value, str) else tuple(map(str, value or ()))


def _environment(name: str, value: Mapping[str, Any]) -> dict[str, str]:
    for key, item in value.items():
        if not isinstance(item, str):
            # Parsers differ in a number's or a boolean's text, and null means the caller's variable.
            raise ValueError(f"{name}: {key} is {json.dumps(item)}, and not text")  # noqa: TRY004
    return dict(value)


def _test(value: str | list[str]) -> tuple[str, ...]:
    kind, *words = ["CMD-SHELL", value] if isinstance(value, str) else value
    if kind == "CMD-SHELL":
        return ("/bin/sh", "-c", *words)
    if kind != "CMD":
        raise ValueError(f"a health check of kind {kind}")
    return tuple(words)


def _ports(values: Iterable[str | int]) -> tuple[int, ...]:
    """Those in the container, whatever they are published as."""
    return tuple(sorted({int(str(value).rpartition(":")[2]) for value in values}))


def _mount(name: str, value: Any) -> Mount:
    parts = str(value).split(":")
    if not isinstance(value, str) or len(parts) not in (2, 3) or parts[2:] not in ([], ["ro"]):
        raise ValueError(f"{name}: the volume {value} is not of the form source:target[:ro]")
    return Mount(parts[0], parts[1], read_only=len(parts) == 3)
