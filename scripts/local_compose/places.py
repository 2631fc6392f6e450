"""What a container calls an address or a folder, said as this machine knows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_LOOPBACK = "127.0.0.1"
_ANYWHERE = "0.0.0.0"  # noqa: S104 - replaced by loopback, never bound
# What a container calls itself.
_SELF = ("localhost", _LOOPBACK, _ANYWHERE)


@dataclass(frozen=True)
class Places:
    """The translation for the texts of one service, `own`.

    `ports` gives the local port for a service's name and its port in the container, for all services;
    `folders` the local folder for an absolute path in this service's container.
    """

    own: str
    ports: Mapping[tuple[str, int], int]
    folders: Mapping[str, Path]

    def translate(self, text: str) -> str:
        """The text of one argument or one variable. ValueError for an address that has no place here."""
        translated = self._settings(self._addresses(self._paths(text)))
        if _ANYWHERE in translated:
            raise ValueError(f"{self.own} would listen on every interface of this machine: {text}")
        return translated

    def _paths(self, text: str) -> str:
        for path in sorted(self.folders, key=len, reverse=True):
            # Before it no name (another folder's tail), after it no more of this one's.
            whole = re.compile(rf"(?<![\w.-]){re.escape(path)}(?![\w.-])")
            text = str(self.folders[path]).join(whole.split(text))
        return text

    def _addresses(self, text: str) -> str:
        names = "|".join(re.escape(name) for name in {*_SELF, *(name for name, _ in self.ports)})

        def local(match: re.Match[str]) -> str:
            name, port = match[1], int(match[2])
            found = self.ports.get((self.own if name in _SELF else name, port))
            if found is None:
                raise ValueError(f"{self.own} speaks of {match[0]}, a port that nobody opens or exposes")
            return f"{_LOOPBACK}:{found}"

        return re.sub(rf"(?<![\w.-])({names}):(\d+)(?!\d)", local, text)

    def _settings(self, text: str) -> str:
        """Host and port of a server apart from each other: the whole text, or what an option is set to."""

        def local(match: re.Match[str]) -> str:
            option, value = match[1] or "", match[2]
            if value == _ANYWHERE:
                return f"{option}{_LOOPBACK}"
            return f"{option}{self.ports.get((self.own, int(value)), value)}"

        number_or_host = rf"(\d+|{re.escape(_ANYWHERE)})"
        text = re.sub(rf"\A(){number_or_host}\Z", local, text)
        return re.sub(rf"(?<!\S)(--[\w-]+=){number_or_host}(?!\S)", local, text)
