"""A task over its tries, as a scheduler drives it: which leg comes next, and where one of them dies."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from crash_legs import Places, kept
from crash_points import Target

MAX_TRIES = 3
"""Of retries. Enough for two deaths and a try that finds the service or the machine slow."""


class Bucket(Protocol):
    """Object storage, as it is seen from outside."""

    bucket: str

    def names(self) -> list[str]: ...
    def read(self, name: str) -> bytes: ...


@dataclass
class Task:
    """One task instance.

    :param run: Runs a leg in another process; returns 0, 1 for an exception, or a negative signal.
    :param deaths: Where legs die, by their number among all legs of the task.
    :param ending: How.
    :param alone: Each leg gets a process of its own, not only each that follows on a death.
    :param on_death: Called when one has died.
    :param bucket: Where its destination is, if that is no folder; its names begin with that of ``home``.
    :param died: The numbers of the legs that did.
    :param steps: Those of each leg; none of a leg that was killed.
    :param uncounted: I/O that is in no step.
    """

    home: Path
    operator: str
    arguments: dict[str, Any]
    task_state: bool
    environment: Mapping[str, str]
    run: Callable[[dict[str, Any]], int]
    deaths: Mapping[int, Target] = field(default_factory=dict)
    ending: str = "kill"
    alone: bool = False
    on_death: Callable[[], None] = lambda: None
    bucket: Bucket | None = None
    tries: int = 0
    died: list[int] = field(default_factory=list)
    steps: list[list[str]] = field(default_factory=list)
    uncounted: list[str] = field(default_factory=list)
    result: dict[str, Any] | None = None
    failure: str | None = None

    def __post_init__(self) -> None:
        self.places = Places(self.home)
        self.places.videos.mkdir(parents=True)

    @property
    def log(self) -> str:
        """What all legs logged."""
        path = self.home / "log.txt"
        return path.read_text() if path.exists() else ""

    def go(self) -> None:
        """Try until the task is green, fails for good, or has no try left."""
        while self.tries <= MAX_TRIES and self.result is None:
            self.tries += 1
            # XComs of an earlier try are gone before anything of this one runs.
            self.places.xcoms.unlink(missing_ok=True)
            failure = self._try()
            if failure is not None:
                self.failure = failure["text"]
                if failure["final"]:
                    return

    @property
    def destination(self) -> str:
        """The URI of what is there, without a connection."""
        if self.bucket is None:
            return f"file://{self.places.videos}"
        return f"s3://{self.bucket.bucket}/{self.home.name}"

    def visible(self) -> dict[str, bytes]:
        """Files under final names at the destination."""
        return {name: content for name, content in self._there("") if not name.startswith((".", "_"))}

    def records(self) -> list[str]:
        """Those at the destination."""
        return [content.decode() for _, content in self._there("_segmind/")]

    def _there(self, folder: str) -> Iterator[tuple[str, bytes]]:
        if self.bucket is None:
            for path in (self.places.videos / folder).glob("*"):
                if path.is_file() and not path.name.endswith(".part"):
                    yield path.name, path.read_bytes()
            return
        beginning = f"{self.home.name}/{folder}"
        for name in self.bucket.names():
            if name.startswith(beginning) and "/" not in name.removeprefix(beginning):
                yield name.removeprefix(beginning), self.bucket.read(name)

    def phases(self) -> set[str]:
        """How far the purchases are that any record tells of."""
        records = [json.loads(text) for text in self.records()]
        state = kept(self.places.state, {}).get("airflow_ltx.request")
        if state is not None:
            records.append(json.loads(state))
        return {purchase["phase"] for record in records for purchase in record["purchases"]}

    def _try(self) -> dict[str, Any] | None:
        """One try; returns its failure, None for one that died or is done."""
        leg: dict[str, Any] = {}
        while True:
            match self._leg(leg):
                case None if "trigger" in leg:
                    # Another triggerer runs it from its stored arguments.
                    continue
                case None:
                    return None
                case {"deferral": deferral}:
                    leg = deferral
                case {"event": event}:
                    method, arguments = leg["resume"]
                    leg = {"resume": [method, {**arguments, "event": event}]}
                case {"return value": result}:
                    self.result = result
                    return None
                case {"failure": failure}:
                    return failure
                case other:
                    raise AssertionError(other)

    def _leg(self, leg: dict[str, Any]) -> dict[str, Any] | None:
        """One leg; returns what it handed over, which it may have done before it died."""
        for path in (self.places.handed_over, self.places.steps):
            path.unlink(missing_ok=True)
        number = len(self.steps)
        code = self.run(
            {
                "home": str(self.home),
                "operator": self.operator,
                "arguments": self.arguments,
                "task_state": self.task_state,
                "environment": self.environment,
                "try_number": self.tries,
                "max_tries": MAX_TRIES,
                "target": self.deaths.get(number),
                "ending": self.ending,
                "alone": self.alone,
                **leg,
            }
        )
        killed = {"seen": [], "reached": self.ending == "kill", "uncounted": []}
        told = kept(self.places.steps, killed)
        self.steps.append(told["seen"])
        self.uncounted += told["uncounted"]
        died = number in self.deaths and told["reached"]
        expected = {-signal.SIGKILL} if died and self.ending == "kill" else {0, 1} if died else {0}
        assert code in expected, f"exit code {code}\n{self.log}"
        if died:
            self.died.append(number)
            self.on_death()
        return kept(self.places.handed_over)
