"""S3 that starts in half a second. It does not look at signatures."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from servers.running import StorageServer
from servers.s3 import S3Objects, s3_connection

_KEY_ID, _SECRET = "ministack", "not-looked-at"


def _command() -> str | None:
    """The one of the tests' own environment, which need not be on PATH."""
    beside = Path(sys.executable).with_name("ministack")
    return str(beside) if beside.exists() else shutil.which("ministack")


class MiniStack(StorageServer):
    name = "ministack"
    scheme = "s3"

    @classmethod
    def missing(cls) -> str | None:
        return None if _command() else "ministack is not installed: make install"

    def _launch(self) -> None:
        command = _command()
        assert command is not None
        self._spawn(
            self.name,
            [command],
            BIND_HOST="127.0.0.1",
            GATEWAY_PORT=str(self.port.number),
            SERVICES="s3",
            # Otherwise it also takes MQTT, on every address of the machine, unless another one has the port.
            IOT_MTLS_ENABLED="0",
            S3_PERSIST="0",
            PERSIST_STATE="0",
            STATE_DIR=str(self.folder / "state"),
        )
        self._wait_until_it_answers()

    @property
    def connection(self) -> str:
        return s3_connection(self.url, _KEY_ID, _SECRET)

    def objects_of(self, connection: str) -> S3Objects:
        return S3Objects.of(connection)
