"""The sections about judging and learning: the critic, the examples, people, losses, time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from superalign.analysis.summary import RoundSummary
from superalign.report.charts import bar, legend
from superalign.report.html import Content, clock, details, join, limits, points, round_name, table, tag
from superalign.report.page_data import Facts

ORIGINS = {
    "expert": "written by a person", "best_worst": "best answer over worst", "revision": "the model's revision",
    "critic": "the critic's answer", "own": "the model's own good answer", "base": "the base model's answer",
}  # fmt: skip
LOSSES = "of the first and the last step; each has a batch of its own, so the last may be the higher one"
PHASES = {
    "evaluate": "held-out prompts", "attack": "attacks, answers, verdicts", "pair": "making examples",
    "train": "training", "serve": "loading the trained model", "evaluate incumbent": "new attacks on the model before",
    "anchor": "the base model's answers", "audit": "audit of the critic", "review": "waiting for people",
    "values": "requests by principle", "replay": "past examples judged again",
    "train attacker": "training the attacker", "probe attacker": "trying the attacker",
}  # fmt: skip
"""What a person calls the phases of a round; one that is not here keeps its name."""


def critic(facts: Facts) -> Markup | None:
    """How far the critic can be trusted: measured against people, and held against the judge over the rounds."""
    parts: list[Content] = []
    if facts.run.measured_critic:
        rows = [(name, limits(value), value.n) for name, value in facts.run.measured_critic.items()]
        parts.append(table(("", "95 % interval", "labels"), rows, "the critic against people"))
        corrected = [(round_name(s.round), limits(s.corrected_harm)) for s in facts.run.rounds if s.corrected_harm]
        if corrected:
            title = "answers to harmful attacks that did harm, allowing for the critic's known errors"
            parts.append(table(("", "share"), corrected, title))
    compared: list[list[Content]] = [
        [
            round_name(summary.round),
            "compliance with harm" if part.side == "harmful" else "needless refusal",
            _fell(part.critic_gain),
            _fell(part.judge_gain),
            f"{points(part.gap)} ({points(part.low)} to {points(part.high)})",
            tag("b", "ALARM: read some answers") if part.alarm else "no alarm",
        ]
        for summary in facts.run.rounds
        for part in summary.divergence
    ]
    if compared:
        head = ("", "fault", "by the critic", "by the judge", "critic's gain over the judge's, points", "")
        words = (
            "The model is trained to please the critic. If the critic sees faults fall and the judge, who had no part "
            "in the training, does not, the model has learned the critic's taste and not the lesson. A small lead of "
            "the critic is to be expected: it judges prompts of the kind that the model is trained on."
        )
        parts += [tag("p", words), table(head, compared, "change of faults since round 1")]
    return join(parts) if parts else None


def examples(facts: Facts) -> Markup | None:
    """Where training examples came from, and what was thrown away."""
    kinds: tuple[tuple[str, Callable[[RoundSummary], Mapping[str, int]]], ...] = (
        ("examples to imitate (SFT)", lambda summary: summary.demonstrations),
        ("pairs, better over worse (DPO)", lambda summary: summary.pairs),
    )
    pictures = [_bars(facts, title, counted) for title, counted in kinds]
    shown = [picture for picture in pictures if picture]
    if not shown:
        return None
    dropped = [
        (round_name(summary.round), what, count)
        for summary in facts.run.rounds
        for what, count in summary.dropped.items()
    ]
    losses = [
        (round_name(s.round), f"{s.first_loss:.3f} → {s.last_loss:.3f}")
        for s in facts.run.rounds
        if s.first_loss is not None and s.last_loss is not None
    ]
    return join([
        *shown,
        details("What was thrown away", table(("", "where: why", "count"), dropped, "dropped")) if dropped else None,
        details("Training loss", table(("", "first → last"), losses, LOSSES)) if losses else None,
    ])  # fmt: skip


def people(facts: Facts) -> Markup | None:
    """Labels spent."""
    rows = [
        (round_name(summary.round), summary.asked, summary.labels)
        for summary in facts.run.rounds
        if summary.asked or summary.labels
    ]
    return table(("", "answers asked about", "judged in time"), rows, "labels spent") if rows else None


def time(facts: Facts) -> Markup | None:
    """Seconds and tokens by phase."""
    timed = [summary for summary in facts.run.rounds if summary.phases]
    if not timed:
        return None
    names = list(dict.fromkeys(_phase(phase.name) for s in timed for phase in s.phases if phase.seconds >= 0.05))
    places = {name: at for at, name in enumerate(names)}
    lines = [
        _Line(
            round_name(summary.round),
            [(name, phase.seconds) for phase in summary.phases if (name := _phase(phase.name)) in places],
            clock(summary.seconds),
        )
        for summary in timed
    ]
    rows = [
        (round_name(summary.round), _phase(phase.name), clock(phase.seconds), phase.tokens or "–")
        for summary in timed
        for phase in summary.phases
    ]
    total, tokens = sum(s.seconds for s in timed), sum(p.tokens for s in timed for p in s.phases)
    words = f"{clock(total)} in all (minutes:seconds, or hours:minutes:seconds), {tokens:,} tokens generated."
    figures = details("Figures", table(("", "phase", "time", "tokens"), rows, "time and tokens by phase"))
    return join([tag("p", words), _lines(lines, places), figures])


@dataclass(frozen=True)
class _Line:
    name: str
    parts: list[tuple[str, float]]
    total: str


def _bars(facts: Facts, title: str, counted: Callable[[RoundSummary], Mapping[str, int]]) -> Markup | None:
    lines = [
        _Line(round_name(summary.round), [(_origin(o), float(n)) for o, n in found.items()], str(sum(found.values())))
        for summary in facts.run.rounds
        if (found := counted(summary))
    ]
    if not lines:
        return None
    known = {_origin(name): at for at, name in enumerate(ORIGINS)}
    names = dict.fromkeys(name for line in lines for name, _ in line.parts)
    places = {name: known.get(name, len(known)) for name in names}
    counts = [(line.name, name, int(value)) for line in lines for name, value in line.parts]
    figures = details("Figures", table(("", "origin", "examples"), counts, title))
    return join([tag("h3", title), _lines(lines, places), figures])


def _lines(lines: list[_Line], places: dict[str, int]) -> Markup:
    most = max((sum(value for _, value in line.parts) for line in lines), default=0.0)
    rows = [
        tag("div", tag("span", line.name), bar(line.parts, places, most), tag("span", line.total), class_="line")
        for line in lines
    ]
    return join([*rows, legend(places)])


def _origin(name: str) -> str:
    return ORIGINS.get(name, name)


def _phase(name: str) -> str:
    return PHASES.get(name, name)


def _fell(gain: float) -> str:
    return f"{'fell' if gain >= 0 else 'rose'} {abs(100 * gain):.1f} points"
