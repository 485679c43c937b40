"""HTML and SVG as functions: whatever is not markup already is escaped, so no text of a model becomes any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from superalign.records.evaluation import Interval
from superalign.review.visible_text import visible

Content = str | int | float | None


def tag(name: str, *children: Content, **attributes: Content) -> Markup:
    """An element; `class_` stands for class and `stroke_width` for stroke-width, and a value of None for no attribute.

    A child or a value that is not `Markup` is a text: escaped, its invisible characters shown by their codes.
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
    """A table that scrolls by itself where the screen is narrow; the first cell of a row is its heading.

    A child that is a `<td>` or `<th>` already is taken as it is.
    """
    body = [tag("tr", *(_cell(cell, i == 0) for i, cell in enumerate(row))) for row in rows]
    top = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head)))
    inner = tag("table", tag("caption", caption), top, tag("tbody", *body))
    return tag("div", inner, class_="scroll", tabindex=0, role="region", aria_label=caption)


def details(summary: str, *children: Content, opened: bool = False) -> Markup:
    """What can be folded away."""
    return tag("details", tag("summary", summary), *children, open="" if opened else None)


def share(value: float) -> str:
    """`97.5 %`, never torn apart at the end of a line."""
    return f"{100 * value:.1f}\u00a0%"


def limits(value: Interval) -> str:
    """`97.5 % (87.1 to 99.6)`; a rate of nothing is no rate."""
    return f"{share(value.rate)} ({100 * value.low:.1f} to {100 * value.high:.1f})" if value.n else "nothing scored"


def with_limits(value: Interval | None) -> Markup:
    """The same with the limits in small print, and a dash for what was not measured."""
    if value is None or not value.n:
        return Markup("–")
    return join([share(value.rate), " ", tag("small", f"{100 * value.low:.0f}–{100 * value.high:.0f}")])


def points(value: float) -> str:
    """`+4.7`, of a difference of shares; what rounds to nothing has no sign."""
    shown = f"{100 * value:+.1f}"
    return "0.0" if shown in ("+0.0", "-0.0") else shown


def clock(seconds: float) -> str:
    """`10:55`, `2:05:00`."""
    whole = round(seconds)
    hours = f"{whole // 3600}:{whole % 3600 // 60:02}" if whole >= 3600 else f"{whole // 60}"
    return f"{hours}:{whole % 60:02}"


def round_name(number: int) -> str:
    """What a person calls it."""
    return f"round {number}" if number else "base"


def hazard_name(name: str) -> str:
    """`violent_crimes` as a person writes it; strategies are named alike."""
    return "no hazard" if name == "(none)" else name.replace("_", " ")


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
