"""A StatsD server of the tests' own: it listens on loopback and remembers."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Sample:
    """One line: ``name:value|kind``."""

    name: str
    value: float
    kind: str


class StatsdListener:
    """Datagrams as they come, from whatever process sends them."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self._samples: list[Sample] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    @property
    def environment(self) -> dict[str, str]:
        """What sends an Airflow's metrics here."""
        host, port = self._socket.getsockname()
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": host,
            "AIRFLOW__METRICS__STATSD_PORT": str(port),
            "AIRFLOW__METRICS__STATSD_PREFIX": "airflow",
        }

    def samples(self, name: str) -> list[Sample]:
        """Of one metric of this package, so far."""
        return [sample for sample in tuple(self._samples) if sample.name == f"airflow.segmind.{name}"]

    def wait_for(self, name: str, number: int = 1, seconds: float = 10.0) -> list[Sample]:
        """At least so many of them."""
        deadline = time.monotonic() + seconds
        while len(found := self.samples(name)) < number:
            assert time.monotonic() < deadline, (name, sorted({sample.name for sample in self._samples}))
            time.sleep(0.05)
        return found

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                datagram = self._socket.recv(65536)
            except TimeoutError:
                continue
            for line in datagram.decode().splitlines():
                name, _, rest = line.partition(":")
                value, _, kind = rest.partition("|")
                self._samples.append(Sample(name, float(value), kind.split("|")[0]))
