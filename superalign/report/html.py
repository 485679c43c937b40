"""HTML and SVG as functions. Whatever is not markup yet is escaped, so no text of a model can become markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml
from markupsafe import Markup, escape

from superalign.records.evaluation import Interval
from superalign.review.visible_text import visible

WORDS = yaml.safe_load((Path(__file__).parent / "pages/words.yaml").read_bytes())
"""What the page says beside its figures."""
Content = str | int | float | None
MOST_ROWS = 15
"""Rows of a heat map; a search may breed thousands of strategies."""
SHADES = 10


def tag(name: str, *children: Content, **attributes: Content) -> Markup:
    """An element. `class_` stands for class, `stroke_width` for stroke-width; an attribute of None is left out.

    A child or value that is not `Markup` is text: it is escaped, and its invisible characters are shown by their codes.
    """
    shown = [
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _text(value))
        for key, value in attributes.items()
        if value is not None
    ]
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), Markup("").join(shown), join(children))


def join(children: Iterable[Content]) -> Markup:
    """Children one after the other."""
    return Markup("").join(_text(child) for child in children if child is not None)


def table(head: Sequence[Content], rows: Iterable[Sequence[Content]], caption: str) -> Markup:
    """A table that scrolls by itself on a narrow screen; the first cell of a row is its heading.

    A cell that is a `<td>` or `<th>` already is taken as it is.
    """
    body = [tag("tr", *(_cell(cell, i == 0) for i, cell in enumerate(row))) for row in rows]
    top = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head)))
    inner = tag("table", tag("caption", caption), top, tag("tbody", *body))
    return tag("div", inner, class_="scroll", tabindex=0, role="region", aria_label=caption)


def details(summary: str, *children: Content) -> Markup:
    """Content that is folded away until a person opens it."""
    return tag("details", tag("summary", summary), *children)


def paragraph(name: str, *more: Content) -> Markup:
    """What the page says beside a section's figures; text between backticks is code."""
    parts = WORDS["paragraphs"][name].split("`")
    return tag("p", *(tag("code", text) if at % 2 else text for at, text in enumerate(parts)), *more)


def glossary(name: str, summary: str = "What these figures mean") -> Markup:
    """Terms with their meanings, folded away."""
    terms = WORDS["glossaries"][name].items()
    return details(summary, tag("dl", *(tag(*part) for term, text in terms for part in (("dt", term), ("dd", text)))))


def labelled(kind: str, name: str) -> str:
    """What a person calls a check, a phase, ...; one without a label keeps its name."""
    return str(WORDS["labels"][kind].get(name, name))


def heat_map(
    columns: Mapping[str, Mapping[str, Interval]], title: str, more: str = "", head: str = "round"
) -> Markup | None:
    """A table of shares, each cell shaded by its share, the commonest rows first; None if nothing was scored.

    columns: shares by row, for each column; more: where the rows beyond `MOST_ROWS` are; head: what columns are.
    """
    uses: dict[str, int] = {}
    for shares in columns.values():
        for name, value in shares.items():
            uses[name] = uses.get(name, 0) + value.n
    names = sorted((name for name in sorted(uses) if uses[name]), key=lambda name: -uses[name])
    if not names:
        return None
    rows: list[list[Content]] = [
        [hazard_name(name), *(_shaded(shares.get(name)) for shares in columns.values())] for name in names[:MOST_ROWS]
    ]
    left_out = tag("p", f"{len(names) - MOST_ROWS} more: {more}", class_="quiet") if len(names) > MOST_ROWS else None
    return tag("div", table([head, *columns], rows, title), left_out, class_="heat")


def side_by_side(lead: str, parts: Sequence[Content], *more: Content) -> Markup | None:
    """A paragraph by its name, then those parts that there are next to each other; None if there is none."""
    shown = [part for part in parts if part]
    return join([paragraph(lead), tag("div", *shown, class_="pair"), *more]) if shown else None


def badge(text: str, state: str) -> Markup:
    """A word in a coloured frame; state: promoted (good), refused (bad) or open (neutral)."""
    return tag("span", text, class_=f"badge {state}")


def share(value: float) -> str:
    """`97.5 %`, never torn apart at the end of a line."""
    return f"{100 * value:.1f}\u00a0%"


def limits(value: Interval) -> str:
    """`97.5 % (87.1 to 99.6)`; a rate of nothing is no rate."""
    return f"{share(value.rate)} ({100 * value.low:.1f} to {100 * value.high:.1f})" if value.n else "nothing scored"


def with_limits(value: Interval | None) -> Markup:
    """`97.5 %` with its limits in small print; a dash if nothing was measured."""
    if value is None or not value.n:
        return Markup("–")
    return join([share(value.rate), " ", tag("small", f"{100 * value.low:.0f}–{100 * value.high:.0f}")])


def points(value: float) -> str:
    """A difference of shares in points, `+4.7`; one that rounds to 0 has no sign."""
    shown = f"{100 * value:+.1f}"
    return "0.0" if shown in ("+0.0", "-0.0") else shown


def clock(seconds: float) -> str:
    """`10:55`, `2:05:00`."""
    whole = round(seconds)
    hours = f"{whole // 3600}:{whole % 3600 // 60:02}" if whole >= 3600 else f"{whole // 60}"
    return f"{hours}:{whole % 60:02}"


def round_name(number: int) -> str:
    """`round 2`, or `base` for round 0."""
    return f"round {number}" if number else "base"


def hazard_name(name: str) -> str:
    """`violent_crimes` as a person writes it; strategies are named alike."""
    return "no hazard" if name == "(none)" else name.replace("_", " ")


def _shaded(value: Interval | None) -> Markup:
    if value is None or not value.n:
        return tag("td", "–")
    shade = round(SHADES * value.rate)
    return tag("td", f"{100 * value.rate:.0f} ", tag("small", value.n), class_=f"h{shade}", title=limits(value))


def _cell(cell: Content, heads: bool) -> Markup:
    if isinstance(cell, Markup) and cell.startswith(("<td", "<th")):
        return cell
    return tag("th", cell, scope="row") if heads else tag("td", cell)


def _text(value: Content) -> Markup:
    if isinstance(value, Markup):
        return value
    if isinstance(value, float):
        return Markup(f"{value:.6g}")
    return escape(visible(str(value)))
