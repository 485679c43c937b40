"""The sections about judging and learning: recipe, critic, examples, losses, values, people, time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from superalign.analysis.summary import RoundSummary
from superalign.records.evaluation import Interval
from superalign.report.charts import bar, curve, legend
from superalign.report.html import (
    WORDS,
    Content,
    clock,
    details,
    glossary,
    heat_map,
    join,
    labelled,
    limits,
    paragraph,
    points,
    round_name,
    table,
    tag,
    with_limits,
)
from superalign.report.page_data import Facts, rest

Bar = tuple[str, list[tuple[str, float]], str]
"""Name of a bar, its parts, what stands at its end."""


def recipe(facts: Facts) -> Markup | None:
    """What the run was asked to do: models, roles and training in a table, the whole recipe folded away."""
    rows = list(_settings(facts.resolved))
    written = details("The whole recipe", tag("div", facts.recipe, class_="text code", tabindex=0))
    return join([table(("", "setting"), rows, "what the recipe asks for"), written]) if rows else None


def critic(facts: Facts) -> Markup | None:
    """How far the critic can be trusted: measured against people, and compared with the judge over the rounds."""
    parts: list[Content] = []
    if facts.run.measured_critic:
        rates = [(name, limits(value), value.n) for name, value in facts.run.measured_critic.items()]
        parts.append(table(("", "95 % interval", "labels"), rates, "the critic against people"))
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
        parts += [paragraph("critic"), table(head, compared, "change of faults since round 1")]
    return join(parts) if parts else None


def examples(facts: Facts) -> Markup | None:
    """Where training examples came from, what was thrown away, and how the loss fell."""
    pictures = [
        _counts(facts, "examples to imitate (SFT)", lambda summary: summary.demonstrations),
        _counts(facts, "pairs, better over worse (DPO)", lambda summary: summary.pairs),
    ]
    shown = [picture for picture in pictures if picture]
    dropped = [
        (round_name(summary.round), reason, count)
        for summary in facts.run.rounds
        for reason, count in summary.dropped.items()
    ]
    if dropped:
        shown.append(details("What was thrown away", table(("", "where: why", "count"), dropped, "dropped")))
    return join([*shown, _losses(facts)]) if shown else None


def values(facts: Facts) -> Markup | None:
    """Adoption, retention and stale rate by round, and principles by round."""
    rows: list[list[Content]] = []
    broken: dict[str, dict[str, Interval]] = {}
    for summary in facts.run.rounds:
        report, replay = summary.values, summary.replay
        if report is None:
            continue
        past = f"{replay.held} used, {replay.flipped} turned round, {replay.dropped} dropped" if replay else "–"
        rates = map(with_limits, (report.kept, report.adoption, report.retention, report.stale))
        changed = ", ".join(principle.principle for principle in report.principles if principle.moved)
        rows.append([round_name(summary.round), report.version, changed or "–", *rates, past])
        column = f"{round_name(summary.round).removeprefix('round ')} (version {report.version})"
        broken[column] = {principle.principle: rest(principle.kept) for principle in report.principles}
    if not rows:
        return None
    head = ("", "version", "changed principles", "kept", "adopted", "retained", "stale", "past examples")
    return join([
        paragraph("values"),
        table(head, rows, "how far the constitution is followed"),
        glossary("values"),
        heat_map(broken, "replies that break a principle, %; the small figure counts replies"),
    ])  # fmt: skip


def effort(facts: Facts) -> Markup | None:
    """How examples were shared between conformity and competence."""
    rows: list[list[Content]] = []
    for summary in facts.run.rounds:
        shares = summary.effort
        if shares is not None:
            wanted = "as they came" if shares.conformity is None else f"{100 * shares.conformity:.0f} %"
            kept = f"{shares.kept['conformity']} of {sum(shares.kept.values())}"
            rows.append([f"round {summary.round}", wanted, kept, sum(shares.left_out.values())])
    head = ("", "wanted share on harmful requests", "used on harmful requests", "left out")
    return join([paragraph("effort"), table(head, rows, "examples by side")]) if rows else None


def people(facts: Facts) -> Markup | None:
    """Labels spent."""
    rows = [(round_name(s.round), s.asked, s.labels) for s in facts.run.rounds if s.asked or s.labels]
    return table(("", "answers asked about", "judged in time"), rows, "labels spent") if rows else None


def time(facts: Facts) -> Markup | None:
    """Seconds and tokens by phase."""
    timed = [summary for summary in facts.run.rounds if summary.phases]
    if not timed:
        return None
    names = list(
        dict.fromkeys(labelled("phases", phase.name) for s in timed for phase in s.phases if phase.seconds >= 0.05)
    )
    bars: list[Bar] = [
        (
            round_name(summary.round),
            [(name, phase.seconds) for phase in summary.phases if (name := labelled("phases", phase.name)) in names],
            clock(summary.seconds),
        )
        for summary in timed
    ]
    rows = [
        (round_name(summary.round), labelled("phases", phase.name), clock(phase.seconds), phase.tokens or "–")
        for summary in timed
        for phase in summary.phases
    ]
    total, tokens = sum(s.seconds for s in timed), sum(p.tokens for s in timed for p in s.phases)
    words = f"{clock(total)} in all (minutes:seconds, or hours:minutes:seconds), {tokens:,} tokens generated."
    figures = details("Figures", table(("", "phase", "time", "tokens"), rows, "time and tokens by phase"))
    return join([tag("p", words), _bars(bars, {name: at for at, name in enumerate(names)}), figures])


def _settings(resolved: Mapping[str, Any]) -> Iterator[tuple[str, Content]]:
    """What a reader asks first; what the recipe does not hold is left out."""
    if "model" in resolved:
        yield "model", str(resolved["model"])
    for role, words in (("critic", "training critic"), ("judge", "judge of held-out replies")):
        if role in resolved:
            model = resolved.get("roles", {}).get(role, {}).get("model")
            yield words, str(resolved[role]["type"]) + (f", asking {model}" if model else "")
    if attacker := resolved.get("attacker"):
        most = ", ".join(str(name) for name in list(attacker.get("mix", {}))[:8])
        yield "attack strategies", most + (", ..." if len(attacker.get("mix", {})) > 8 else "")
    if learner := resolved.get("learner"):
        yield "answers to each attack", f"{learner['num_answers']} at temperature {learner['temperature']:g}"
    options: Sequence[Mapping[str, Any]] = resolved.get("training") or ()
    for number, training in enumerate(options, 1):
        label = f"training, from round {number} on" if number == len(options) > 1 else f"training, round {number}"
        parts = []
        for method in (name for name in ("sft", "dpo") if name in training["method"]):
            stage = training[method]
            length = f"{stage['max_steps']} steps" if stage["max_steps"] else f"{stage['epochs']:g} epochs"
            parts.append(f"{method}: learning rate {stage['learning_rate']:g}, batch {stage['batch_size']}, {length}")
        yield label if len(options) > 1 else "training", "; ".join(parts) + f"; LoRA rank {training['lora']['rank']}"
    if "seed" in resolved:
        yield "seed", resolved["seed"]


def _losses(facts: Facts) -> Markup | None:
    """The loss by step of every stage of training, and the means at its two ends."""
    figures, pictures = [], []
    for number, stages in facts.losses.items():
        for name, losses in stages:
            tenth = max(1, len(losses) // 10)
            first, last = (sum(part) / tenth for part in (losses[:tenth], losses[-tenth:]))
            title = f"{round_name(number)}, {name}"
            figures.append((title, len(losses), f"{first:.3f} → {last:.3f}"))
            if len(losses) > 2:
                pictures.append(tag("figure", tag("figcaption", title), curve(losses, title)))
    if not figures:
        return None
    drawn = join([tag("h3", "training loss by step"), tag("div", *pictures, class_="pictures")]) if pictures else None
    caption = "means of the first and the last tenth of the steps"
    return join([drawn, details("Training loss", table(("", "steps", "first → last"), figures, caption))])


def _counts(facts: Facts, title: str, counted: Callable[[RoundSummary], Mapping[str, int]]) -> Markup | None:
    bars: list[Bar] = [
        (
            round_name(s.round),
            [(labelled("origins", o), float(n)) for o, n in counts.items()],
            str(sum(counts.values())),
        )
        for s in facts.run.rounds
        if (counts := counted(s))
    ]
    if not bars:
        return None
    usual = {words: at for at, words in enumerate(WORDS["labels"]["origins"].values())}
    colours = {name: usual.get(name, len(usual)) for _, parts, _ in bars for name, _ in parts}
    rows = [(round, name, int(value)) for round, parts, _ in bars for name, value in parts]
    figures = details("Figures", table(("", "origin", "examples"), rows, title))
    return join([tag("h3", title), _bars(bars, colours), figures])


def _bars(bars: Sequence[Bar], colours: Mapping[str, int]) -> Markup:
    most = max((sum(value for _, value in parts) for _, parts, _ in bars), default=0.0)
    lines = [
        tag("div", tag("span", name), bar(parts, colours, most), tag("span", end), class_="line")
        for name, parts, end in bars
    ]
    return join([*lines, legend(colours)])


def _fell(gain: float) -> str:
    return f"{'fell' if gain >= 0 else 'rose'} {abs(100 * gain):.1f} points"
