"""Pictures as inline SVG, drawn here: with a charting library inside, each page would weigh megabytes more.

These need no script, print, follow the page's colours, and say their figures to screen readers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from superalign.records.evaluation import Interval
from superalign.report.html import Content, limits, tag

PAD = 16
"""Room for a marker at the edge of the scale."""
State = Literal["promoted", "refused", "open"]
"""Of a round: its candidate was promoted, was not, or nothing is decided yet."""


@dataclass(frozen=True)
class Dot:
    """A checkpoint in a picture."""

    label: str
    """What stands in it: `B`, `1`."""
    name: str
    state: State
    y: Interval
    x: Interval | None = None
    """None: its place is its number."""


def scatter(dots: Sequence[Dot], x_title: str, y_title: str) -> Markup:
    """Two shares against each other, with their intervals as crosses; both axes end at 100 %."""
    width, height, left, top, right, bottom = 480, 400, 56, 14, 28, 52
    shown = [(dot, dot.x) for dot in dots if dot.x is not None]
    floors = [_floor(min(x.low for _, x in shown)), _floor(min(dot.y.low for dot, _ in shown))]

    def at_x(value: float) -> float:
        return left + PAD + (width - left - right - 2 * PAD) * (value - floors[0]) / (1 - floors[0])

    def at_y(value: float) -> float:
        return top + PAD + (height - top - bottom - 2 * PAD) * (1 - value) / (1 - floors[1])

    parts: list[Content] = []
    for tick in _ticks(floors[0]):
        parts.append(_line(at_x(tick), top, at_x(tick), height - bottom, "grid"))
        parts.append(_words(at_x(tick), height - bottom + 18, f"{100 * tick:.0f}", "tick", "middle"))
    for tick in _ticks(floors[1]):
        parts.append(_line(left, at_y(tick), width - right, at_y(tick), "grid"))
        parts.append(_words(left - 8, at_y(tick) + 5, f"{100 * tick:.0f}", "tick", "end"))
    path = [(at_x(x.rate), at_y(dot.y.rate)) for dot, x in shown if dot.state == "promoted"]
    parts.append(tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in path), class_="path"))
    for dot, x in shown:
        parts.append(_line(at_x(x.low), at_y(dot.y.rate), at_x(x.high), at_y(dot.y.rate), f"whisker {dot.state}"))
        parts.append(_line(at_x(x.rate), at_y(dot.y.low), at_x(x.rate), at_y(dot.y.high), f"whisker {dot.state}"))
    taken: list[tuple[float, float]] = [(at_x(x.rate), at_y(dot.y.rate)) for dot, x in shown]
    for dot, x in shown:
        told = f"{x_title} {limits(x)}, {y_title} {limits(dot.y)}"
        place = at_x(x.rate), at_y(dot.y.rate)
        parts.append(_marker(*place, 7, dot, told))
        base_dir = _free(place, taken)
        taken.append(base_dir)
        parts.append(_words(base_dir[0], base_dir[1] + 5, dot.label, f"beside {dot.state}", "middle"))
    parts.append(_words((left + width - right) / 2, height - 10, f"{x_title}, % →", "axis", "middle"))
    upright = f"translate(15 {(top + height - bottom) / 2:.0f}) rotate(-90)"
    parts.append(tag("text", f"{y_title}, % →", transform=upright, class_="axis", text_anchor="middle"))
    told = "; ".join(f"{dot.name}: {y_title} {limits(dot.y)}, {x_title} {limits(x)}" for dot, x in shown)
    return _svg(width, height, told, parts, "scatter")


def trend(dots: Sequence[Dot], title: str) -> Markup:
    """A share over the rounds with its intervals; the scale ends at the next ten per cent above the highest limit."""
    width, height, left, top, right, bottom = 300, 170, 40, 12, 12, 28
    most = max(0.1, math.ceil(10 * max(dot.y.high for dot in dots) - 1e-9) / 10)
    step = (width - left - right) / max(1, len(dots))
    places = [left + step * (i + 0.5) for i in range(len(dots))]

    def at_y(value: float) -> float:
        return top + (height - top - bottom) * (1 - value / most)

    parts: list[Content] = []
    for tick in (0.0, most / 2, most):
        parts.append(_line(left, at_y(tick), width - right, at_y(tick), "grid"))
        parts.append(_words(left - 6, at_y(tick) + 5, f"{100 * tick:.0f}", "tick", "end"))
    for place, dot in zip(places, dots, strict=True):
        parts.append(_line(place, at_y(dot.y.low), place, at_y(dot.y.high), f"whisker {dot.state}"))
        parts.append(_marker(place, at_y(dot.y.rate), 6, dot, limits(dot.y)))
        parts.append(_words(place, height - 8, dot.label, "tick", "middle"))
    return _svg(width, height, f"{title}: " + "; ".join(f"{d.name} {limits(d.y)}" for d in dots), parts, "trend")


def bar(parts: Sequence[tuple[str, float]], places: dict[str, int], most: float) -> Markup:
    """Quantities side by side in one bar; `places` gives each name its colour, `most` is what fills the whole width."""
    shown: list[Content] = []
    start = 0.0
    for name, value in parts:
        width = 100 * value / most if most else 0.0
        shown.append(tag("rect", tag("title", f"{name}: {value:,.6g}"), x=f"{start:.3f}%", y=0, width=f"{width:.3f}%",
                         height=22, class_=f"c{places[name] % 8}"))  # fmt: skip
        start += width
    told = ", ".join(f"{name} {value:,.6g}" for name, value in parts)
    return tag("svg", *shown, role="img", aria_label=told, class_="bar", height=22)


def legend(places: dict[str, int]) -> Markup:
    """What the colours of bars stand for."""
    return tag(
        "p", *(tag("span", tag("i", "", class_=f"c{at % 8}"), name) for name, at in places.items()), class_="legend"
    )


def _marker(x: float, y: float, radius: int, dot: Dot, told: str) -> Markup:
    circle = tag("circle", tag("title", f"{dot.name}: {told}"), cx=f"{x:.1f}", cy=f"{y:.1f}", r=radius)
    return tag("g", circle, class_=f"dot {dot.state}")


def _free(place: tuple[float, float], taken: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Where a label beside a marker is farthest from all that is there; checkpoints of a run lie close together."""
    around = [(place[0] + 19 * dx, place[1] + 17 * dy) for dx in (1, -1, 0) for dy in (-1, 1, 0) if dx or dy]
    return max(around, key=lambda spot: min(min(math.dist(spot, other), 24.0) for other in taken))


def _line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return tag("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=class_)


def _words(x: float, y: float, text: str, class_: str, anchor: str) -> Markup:
    return tag("text", text, x=f"{x:.1f}", y=f"{y:.1f}", class_=class_, text_anchor=anchor)


def _svg(width: int, height: int, told: str, parts: Sequence[Content], class_: str) -> Markup:
    return tag("svg", *parts, viewBox=f"0 0 {width} {height}", role="img", aria_label=told, class_=class_)


def _floor(lowest: float) -> float:
    """The ten per cent below, 90 % at most."""
    return min(0.9, math.floor(10 * lowest + 1e-9) / 10)


def _ticks(floor: float) -> list[float]:
    """From the floor or just above it to 1, not too close."""
    step = 0.1 if floor >= 0.5 else 0.2
    return [round(1 - step * i, 3) for i in range(6) if 1 - step * i >= floor - 1e-9]
