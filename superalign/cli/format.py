"""Figures and texts as a person reads them, without colour, so that they are the same in a pipe."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from superalign.records.evaluation import Interval


def width() -> int:
    """Columns to write for: the terminal's, 80 in a pipe, at most 120."""
    return max(72, min(120, shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 80))


def seconds(value: float) -> str:
    """`8.2 s`, `3 min 20 s`, `2 h 05 min`."""
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def size(value: float) -> str:
    """Bytes as `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def percent(value: float | None) -> str:
    """`97.5 %`, or a dash if it was not measured."""
    return "-" if value is None else f"{100 * value:.1f} %"


def interval(value: Interval) -> str:
    """`97.5 % (87.1 - 99.6)`; a rate of nothing is no rate."""
    return f"{percent(value.rate)} ({100 * value.low:.1f} - {100 * value.high:.1f})" if value.n else "nothing scored"


def counts(value: dict[str, int], most: int = 6) -> str:
    """`60: 44 best_worst, 16 revision`, the commonest first."""
    ranked = sorted(value.items(), key=lambda item: -item[1])
    named = ", ".join(f"{number} {name}" for name, number in ranked[:most])
    rest = f", {sum(number for _, number in ranked[most:])} others" if len(ranked) > most else ""
    return named if len(ranked) == 1 else f"{sum(value.values())}: {named}{rest}"


MARGIN = 12
"""Width of the labels at the left of a block."""
REASON = 160
"""Longest reason shown for a missing verdict."""


def clean(text: str, limit: int | None = None) -> str:
    """A model's text for the screen: no control characters (a terminal would obey them), cut at `limit`."""
    lines = [
        "".join(" " if unicodedata.category(c) in {"Cc", "Cf", "Co", "Cs"} else c for c in line).rstrip()
        for line in text.strip().splitlines()
    ]
    kept = "\n".join(line for line in lines if line)
    return kept if limit is None or len(kept) <= limit else kept[: limit - 3].rstrip() + "..."


def table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table whose last column takes what is left of the line, and as many lines as it needs."""
    cells = [[clean(str(cell)) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) + 2 for i in range(len(head) - 1)]
    lines: list[str] = []
    for row in cells:
        left = "".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=False))
        text = textwrap.wrap(row[-1], max(20, width() - len(left)), break_on_hyphens=False) or [""]
        lines += [(left + text[0]).rstrip(), *(" " * len(left) + more for more in text[1:])]
    return lines


def labelled(label: str, text: str, columns: int | None = None, margin: int = MARGIN) -> list[str]:
    """A label at the left and its text at the right of it, on as many lines as the text needs."""
    room = (columns or width()) - margin
    body = textwrap.wrap(clean(text), room, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{label:<{margin}}{body[0]}", *(" " * margin + line for line in body[1:])]


def command(*words: str | Path) -> str:
    """A command line that works when it is copied, also where the virtual environment is not active."""
    called = sys.argv[0]
    installed = shutil.which("superalign")
    if (installed and os.path.realpath(installed) == os.path.realpath(called)) or Path(called).stem != "superalign":
        called = "superalign"
    return shlex.join([called, *map(str, words)])
