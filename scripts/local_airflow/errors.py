"""What went wrong with a local stack, said for people."""

from __future__ import annotations

from pathlib import Path


class StackError(RuntimeError):
    """A local Airflow did not do what was asked; `log` is where to read on, when there is such a file."""

    def __init__(self, message: str, *, log: Path | None = None) -> None:
        super().__init__(message if log is None else f"{message}\nLog: {log}")
        self.summary = message
        self.log = log


class ApiError(StackError):
    """The REST API answered with an error, or not at all (`status` is None then)."""

    def __init__(self, message: str, *, status: int | None) -> None:
        super().__init__(message)
        self.status = status


def tail(path: Path, lines: int = 30, limit: int = 64_000) -> str:
    """The last lines of a log, or a remark that there are none: an error message must not fail itself."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - limit))
            text = stream.read().decode("utf-8", "replace")
    except OSError as error:
        return f"({path} cannot be read: {error})"
    kept = text.rstrip().splitlines()[-lines:]
    return "\n".join(kept) if kept else f"({path} is empty)"
