"""The code blocks of the documentation, each with the way in which a test runs it.

A Python block names its way in a comment right above it: ``<!-- run: dag -->``. All other languages have one
way each. What has none is an error, so no block can be shown that nothing ever tried.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"

PYTHON_WAYS = {
    "dag": "a DAG file",
    "in-dag": "statements inside a DAG, after the usual imports",
    "emulator": "a script, with segmind_default pointing at a running emulator",
    "continued": "a script that goes on where the page's last one ended",
    "pytest": "a file of a test suite; its name follows",
}
PLAIN_LANGUAGES = ("bash", "ini", "json", "text")
DIRECTIVES = ("{toctree}", "{eval-rst}")

_FENCE = re.compile(
    r"(?:^ *<!-- run: (?P<way>[^\n]*?) -->\n)?"
    r"^(?P<indent>[ :]*)(?P<fence>`{3,}|~{3,})(?P<language>[^\n`]*)\n(?P<code>.*?)^ *(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_MARK = re.compile(r"<!-- run:")


@dataclass(frozen=True)
class Snippet:
    """One block. ``line`` is the page's line of its first code line; ``way`` is empty but for Python."""

    page: str
    line: int
    language: str
    way: str
    argument: str
    code: str

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def source(self) -> str:
        """The code with the lines of the page, so that a traceback leads there."""
        return "\n" * (self.line - 1) + self.code


def pages() -> list[Path]:
    return sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)


def text(page: str) -> str:
    return (DOCS / page).read_text()


def snippets(language: str | None = None, *ways: str) -> list[Snippet]:
    found = [snippet for path in pages() for snippet in _of(path)]
    return [
        snippet
        for snippet in found
        if (language is None or snippet.language == language) and (not ways or snippet.way in ways)
    ]


def unmatched_marks(path: Path) -> int:
    """Marks that stand above no block."""
    content = path.read_text()
    return len(_MARK.findall(content)) - sum(1 for found in _FENCE.finditer(content) if found["way"])


def _of(path: Path) -> Iterator[Snippet]:
    content = path.read_text()
    for found in _FENCE.finditer(content):
        way, _, argument = (found["way"] or "").partition(" ")
        yield Snippet(
            page=str(path.relative_to(DOCS)),
            line=content.count("\n", 0, found.start("code")) + 1,
            language=found["language"].strip(),
            way=way,
            argument=argument,
            code=textwrap.dedent(found["code"]),
        )
