"""Figures and texts as a person reads them; plain, so that they are the same in a pipe."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from superalign.records.evaluation import Interval


def width() -> int:
    """Columns to write for: the terminal's, 80 in a pipe, never more than 120."""
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
    """`97.5 %`, or a dash for what was not measured."""
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
"""Columns of a block's labels."""
REASON = 160
"""Characters of the reason why there is no verdict."""


def clean(text: str, limit: int | None = None) -> str:
    """A model's text for the screen: no control characters (a terminal would obey them), cut at `limit`."""
    lines = [
        "".join(" " if unicodedata.category(c) in {"Cc", "Cf", "Co", "Cs"} else c for c in line).rstrip()
        for line in text.strip().splitlines()
    ]
    kept = "\n".join(line for line in lines if line)
    return kept if limit is None or len(kept) <= limit else kept[: limit - 3].rstrip() + "..."


def listed(head: Sequence[object], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table whose last column takes what is left of the line, and as many lines as it needs."""
    cells = [[clean(str(cell)) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) + 2 for i in range(len(head) - 1)]
    lines: list[str] = []
    for row in cells:
        left = "".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=False))
        text = textwrap.wrap(row[-1], max(20, width() - len(left)), break_on_hyphens=False) or [""]
        lines += [(left + text[0]).rstrip(), *(" " * len(left) + more for more in text[1:])]
    return lines


def command(*words: str | Path) -> str:
    """A command line that works when it is copied, also where the virtual environment is not active."""
    called = sys.argv[0]
    found = shutil.which("superalign")
    if (found and os.path.realpath(found) == os.path.realpath(called)) or Path(called).stem != "superalign":
        called = "superalign"
    return shlex.join([called, *map(str, words)])
