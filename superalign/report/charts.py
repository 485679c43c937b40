"""Pictures as inline SVG. With a charting library inside, each page would weigh megabytes more.

They need no script, can be printed, follow the page's colours, and tell their figures to screen readers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from markupsafe import Markup

from superalign.records.evaluation import Interval
from superalign.report.html import Content, limits, tag

PAD = 16
"""Space for a marker at the edge of the scale, in pixels."""
LEFT, TOP, RIGHT, BOTTOM = 40, 12, 288, 142
"""The area of a small picture, in pixels; it is 300 wide and 170 high."""
State = Literal["promoted", "refused", "open"]
"""Whether a round's candidate was promoted or not; open: nothing is decided yet."""


@dataclass(frozen=True)
class Dot:
    """A checkpoint in a picture."""

    label: str
    """Short name beside the marker: `base`, `1`."""
    name: str
    state: State
    y: Interval
    x: Interval | None = None
    """None in pictures where checkpoints stand in their order."""


def scatter(dots: Sequence[Dot], x_title: str, y_title: str) -> Markup:
    """Two shares against each other, with their intervals as crosses; both axes run from 0 to 100 %."""
    width, height, left, top, right, bottom = 480, 400, 56, 14, 28, 52

    def at_x(value: float) -> float:
        return left + PAD + (width - left - right - 2 * PAD) * value

    def at_y(value: float) -> float:
        return top + PAD + (height - top - bottom - 2 * PAD) * (1 - value)

    parts: list[Content] = []
    for percent in range(0, 101, 20):
        x, y = at_x(percent / 100), at_y(percent / 100)
        parts += [_line(x, top, x, height - bottom, "grid"), _line(left, y, width - right, y, "grid")]
        parts.append(_words(x, height - bottom + 18, str(percent), "tick", "middle"))
        parts.append(_words(left - 8, y + 5, str(percent), "tick", "end"))
    shown = [(dot, dot.x, (at_x(dot.x.rate), at_y(dot.y.rate))) for dot in dots if dot.x is not None]
    parts.append(_path([place for dot, _, place in shown if dot.state == "promoted"], "path"))
    for dot, x_share, (x, y) in shown:
        parts.append(_line(at_x(x_share.low), y, at_x(x_share.high), y, f"whisker {dot.state}"))
        parts.append(_line(x, at_y(dot.y.low), x, at_y(dot.y.high), f"whisker {dot.state}"))
    taken = [place for _, _, place in shown]
    for dot, x_share, place in shown:
        parts.append(_marker(*place, 7, dot, f"{x_title} {limits(x_share)}, {y_title} {limits(dot.y)}"))
        label_place = _free(place, taken)
        taken.append(label_place)
        parts.append(_words(label_place[0], label_place[1] + 5, dot.label, f"beside {dot.state}", "middle"))
    parts.append(_words((left + width - right) / 2, height - 10, f"{x_title}, % →", "axis", "middle"))
    upright = f"translate(15 {(top + height - bottom) / 2:.0f}) rotate(-90)"
    parts.append(tag("text", f"{y_title}, % →", transform=upright, class_="axis", text_anchor="middle"))
    label = "; ".join(f"{dot.name}: {y_title} {limits(dot.y)}, {x_title} {limits(x)}" for dot, x, _ in shown)
    return _svg(width, height, label, parts, "scatter")


def trend(dots: Sequence[Dot], title: str) -> Markup:
    """A share over the rounds with its intervals; the scale ends at the next ten per cent above the highest limit."""
    most = max(0.1, math.ceil(10 * max(dot.y.high for dot in dots) - 1e-9) / 10)
    parts = _frame([f"{100 * most * share:.0f}" for share in (0, 0.5, 1)])
    step = (RIGHT - LEFT) / max(1, len(dots))
    for at, dot in enumerate(dots):
        x, (y, low, high) = LEFT + step * (at + 0.5), (_height(v / most) for v in (dot.y.rate, dot.y.low, dot.y.high))
        parts.append(_line(x, low, x, high, f"whisker {dot.state}"))
        parts.append(_marker(x, y, 6, dot, limits(dot.y)))
        parts.append(_words(x, BOTTOM + 20, dot.label, "tick", "middle"))
    return _svg(300, 170, f"{title}: " + "; ".join(f"{d.name} {limits(d.y)}" for d in dots), parts, "trend")


def curve(losses: Sequence[float], title: str) -> Markup:
    """Losses by step: each batch's as a thin line, the mean of the batches around it as a thick one."""
    window, most = max(1, len(losses) // 10), max(losses) or 1.0
    means = [fmean(losses[max(0, at - window // 2) : at + window // 2 + 1]) for at in range(len(losses))]
    parts = _frame([f"{most * share:.2g}" for share in (0, 0.5, 1)])
    step, every = (RIGHT - LEFT) / max(1, len(losses) - 1), max(1, len(losses) // 400)
    for values, name in ((losses, "batches"), (means, "means")):
        shown = range(0, len(values), every)
        parts.append(_path([(LEFT + step * at, _height(values[at] / most)) for at in shown], name))
    parts.append(_words(LEFT, BOTTOM + 20, "1", "tick", "start"))
    parts.append(_words(RIGHT, BOTTOM + 20, f"step {len(losses)}", "tick", "end"))
    return _svg(300, 170, f"{title}: from {means[0]:.3f} to {means[-1]:.3f}", parts, "trend")


def bar(parts: Sequence[tuple[str, float]], colours: Mapping[str, int], most: float) -> Markup:
    """Quantities side by side in one bar; `most` fills the whole width."""
    shown: list[Content] = []
    start = 0.0
    for name, value in parts:
        width = 100 * value / most if most else 0.0
        shown.append(tag("rect", tag("title", f"{name}: {value:,.6g}"), x=f"{start:.3f}%", y=0, width=f"{width:.3f}%",
                         height=22, class_=f"c{colours[name] % 8}"))  # fmt: skip
        start += width
    label = ", ".join(f"{name} {value:,.6g}" for name, value in parts)
    return tag("svg", *shown, role="img", aria_label=label, class_="bar", height=22)


def legend(colours: Mapping[str, int]) -> Markup:
    """What the colours of bars stand for."""
    return tag(
        "p", *(tag("span", tag("i", "", class_=f"c{at % 8}"), name) for name, at in colours.items()), class_="legend"
    )


def _frame(ticks: Sequence[str]) -> list[Content]:
    """The lines of a small picture at its bottom, middle and top, with their figures."""
    parts: list[Content] = []
    for at, tick in enumerate(ticks):
        y = _height(at / (len(ticks) - 1))
        parts += [_line(LEFT, y, RIGHT, y, "grid"), _words(LEFT - 6, y + 5, tick, "tick", "end")]
    return parts


def _height(share: float) -> float:
    return TOP + (BOTTOM - TOP) * (1 - share)


def _marker(x: float, y: float, radius: int, dot: Dot, figures: str) -> Markup:
    circle = tag("circle", tag("title", f"{dot.name}: {figures}"), cx=f"{x:.1f}", cy=f"{y:.1f}", r=radius)
    return tag("g", circle, class_=f"dot {dot.state}")


def _free(place: tuple[float, float], taken: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Where a label beside a marker is farthest from all that is there; checkpoints of a run lie close together."""
    around = [(place[0] + 19 * dx, place[1] + 17 * dy) for dx in (1, -1, 0) for dy in (-1, 1, 0) if dx or dy]
    return max(around, key=lambda spot: min(min(math.dist(spot, other), 24.0) for other in taken))


def _line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return tag("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=class_)


def _path(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    return tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), class_=class_)


def _words(x: float, y: float, text: str, class_: str, anchor: str) -> Markup:
    return tag("text", text, x=f"{x:.1f}", y=f"{y:.1f}", class_=class_, text_anchor=anchor)


def _svg(width: int, height: int, label: str, parts: Sequence[Content], class_: str) -> Markup:
    return tag("svg", *parts, viewBox=f"0 0 {width} {height}", role="img", aria_label=label, class_=class_)
