"""Live progress: lines redrawn in place on a terminal, lines as things change elsewhere."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

# Without a terminal somebody may be watching a log: silence for longer looks like a hang.
REMINDER_SECONDS = 10.0


@dataclass(frozen=True)
class Line:
    """Where one thing stands; `elapsed` alone is no news."""

    label: str
    state: str
    elapsed: float
    remark: str = ""

    def text(self, label_width: int = 0) -> str:
        return f"{self.label:<{label_width}}  {self.state:<9}  {self.elapsed:5.1f} s  {self.remark}".rstrip()


def fit_rows(lines: Sequence[Line], columns: int) -> list[str]:
    """One row of a terminal each: a line that wraps could not be redrawn."""
    width = max((len(line.label) for line in lines), default=0)
    return [line.text(width)[: columns - 1] for line in lines]


def news(lines: Sequence[Line], told: dict[str, tuple[str, str]]) -> list[Line]:
    """Lines whose state or remark is not what was last told."""
    return [line for line in lines if told.get(line.label) != (line.state, line.remark)]


class Board:
    """Shows the latest lines until `settle` leaves them where they are."""

    def __init__(
        self,
        stream: TextIO,
        *,
        clock: Callable[[], float] = time.monotonic,
        columns: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._columns = columns
        self._live = stream.isatty()
        self._drawn = 0
        self._told: dict[str, tuple[str, str]] = {}
        self._told_at = clock()

    def show(self, lines: Sequence[Line]) -> None:
        if self._live:
            self._redraw(fit_rows(lines, self._columns()))
            return
        fresh = news(lines, self._told)
        if not fresh and self._clock() - self._told_at >= REMINDER_SECONDS:
            fresh = list(lines)
        width = max((len(line.label) for line in lines), default=0)
        for line in fresh:
            self._told[line.label] = (line.state, line.remark)
            self._told_at = self._clock()
            print(line.text(width), file=self._stream, flush=True)

    def _redraw(self, rows: Sequence[str]) -> None:
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        body = "".join(f"\r\x1b[2K{row}\n" for row in rows)
        # Fewer rows than before: what is below them is stale.
        self._stream.write(f"{up}{body}\x1b[J")
        self._stream.flush()
        self._drawn = len(rows)

    def settle(self) -> None:
        self._drawn = 0
        self._told.clear()
