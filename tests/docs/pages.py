"""What README and the documents hold: files and commands in fenced blocks, and commands within a sentence or a table.

A fenced block with a title is a file: its text belongs into the reader's folder under that name. A `bash` block is
commands. A comment in front of a block marks it: `<!-- not run: REASON -->`, or `<!-- engine -->` where a command
loads the real model.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "site" not in path.parts),
]
_MARK = re.compile(r"<!-- (not run: (?P<reason>.+?)|(?P<engine>engine)) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    title: str | None
    text: str
    not_run: str | None
    engine: bool

    @property
    def place(self) -> str:
        """`docs/start.md:12`."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[list[str]]:
        """The words of each command; comments and the backslash at a line's end are the shell's."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def name(page: Path) -> str:
    """A page's name for a test."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block of a page, in its order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start, mark = None, None
    for number, line in enumerate(lines, 1):
        if start is not None:
            if line.strip() == "```":
                first, head, before = start
                title = re.search(r'title="([^"]+)"', head)
                yield Block(
                    page=page, line=first, language=(head.split() or [""])[0], title=title[1] if title else None,
                    text="\n".join(lines[first : number - 1]) + "\n",
                    not_run=before["reason"] if before else None, engine=bool(before and before["engine"]),
                )  # fmt: skip
                start, mark = None, None
        elif line.startswith("```"):
            start = (number, line[3:], mark)
        elif line.strip():
            mark = _MARK.search(line)


def inline_commands(page: Path) -> Iterator[str]:
    """Commands in a sentence or a table: code that begins with `superalign` and goes on."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`(superalign [^`]+)`", text)
