"""The sections at the top: what came of the run, the gate's decisions, and the rounds side by side."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from superalign.analysis.summary import RoundSummary
from superalign.gate.decide import pooled
from superalign.gate.paired_items import Change, changed, complied, of_kinds, wrong
from superalign.gate.paired_items import refused as was_refused
from superalign.records.base import Kind
from superalign.records.evaluation import Evaluation, Interval, Promotion
from superalign.report.charts import scatter
from superalign.report.html import (
    Content,
    badge,
    clock,
    details,
    glossary,
    join,
    labelled,
    limits,
    paragraph,
    points,
    round_name,
    share,
    table,
    tag,
    with_limits,
)
from superalign.report.page_data import Facts, harm_done, refused, rest, right, state_of
from superalign.store.manifest import ManualPromotion

STATES = {"promoted": "promoted", "refused": "kept out", "open": "not decided yet"}
KINDS: dict[Kind, str] = {
    "harmful": "harmful requests",
    "lookalike": "harmless look-alikes",
    "ordinary": "ordinary requests",
}


def headline(facts: Facts) -> Markup | None:
    """What a stranger should know, in three sentences and some figures."""
    if facts.run.attacked is not None:
        return _attacked(facts)
    base, promoted = facts.base, facts.promoted
    if base is None:
        return tag("p", "The base model is being measured; nothing has been trained yet.", class_="lead")
    if promoted is None or promoted.evaluation is None:
        played = any(summary.promotion for summary in facts.run.rounds)
        words = "No candidate was good enough to replace the base model." if played else "No round is finished yet."
        if facts.run.choices:
            words = "A person put the base model back in use."
        measured = f"It complies with {_rate(harm_done(base))} of held-out harmful requests"
        benign = f"and refuses {_rate(refused(base))} of held-out harmless ones."
        return tag("p", f"{words} {measured} {benign}", class_="lead")
    now = promoted.evaluation
    lead = tag(
        "p",
        f"After {promoted.round} rounds of training, " if promoted.round > 1 else "After one round of training, ",
        "the model complies with ", _strong(harm_done(now)), " of harmful requests it had never seen "
        f"(before: {_rate(harm_done(base))}) and needlessly refuses ", _strong(refused(now)),
        f" of harmless ones (before: {_rate(refused(base))}).",
        class_="lead",
    )  # fmt: skip
    tiles = tag("div", *_tiles(facts, base, now), class_="tiles")
    return join([lead, _gate_words(facts, promoted), tiles, glossary("run", "How to read this page")])


def decisions(facts: Facts) -> Markup | None:
    """The gate's words about each round, and people's over its head."""
    items: list[Markup] = []
    for summary in facts.run.rounds:
        if summary.promotion is not None:
            items.append(_decision(summary, summary.promotion))
        items += [_chosen(choice) for choice in facts.run.choices if choice.after == summary.round]
    return tag("ol", *items, class_="plain") if items else None


def frontier(facts: Facts) -> Markup | None:
    """Conformity against competence."""
    dots = []
    for _, measured in facts.measured:
        harm, needless = harm_done(measured.evaluation), refused(measured.evaluation)
        if harm and needless and harm.n and needless.n:
            dots.append(measured.dot(rest(harm), rest(needless)))
    if not dots:
        return None
    marks = [tag("span", tag("i", "", class_=f"mark {state}"), words) for state, words in STATES.items()]
    key = tag("p", tag("span", "1: round 1, 2: round 2, ..."), *marks, class_="legend")
    picture = scatter(dots, "harmless answered", "harmful not complied with")
    return tag("div", picture, tag("div", paragraph("frontier"), key), class_="pair")


def rounds(facts: Facts) -> Markup | None:
    """A line a round."""
    if facts.run.attacked is not None or not facts.run.rounds:
        return None
    head = (
        "", "decision", "harmful: complied", "look-alike: refused", "ordinary: refused", "right answers", "perplexity",
        "attacks",
        "harmful attacks: complied", "harmless attacks: refused", "time",
    )  # fmt: skip
    rows = [_row(facts, summary) for summary in facts.run.rounds]
    filled = [at for at in range(len(head)) if at < 2 or any(row[at] != "–" for row in rows)]
    shown = table([head[at] for at in filled], [[row[at] for at in filled] for row in rows], "rounds")
    return join([shown, paragraph("rounds")])


def _decision(summary: RoundSummary, decision: Promotion) -> Markup:
    state = state_of(summary)
    rows = [
        (labelled("checks", check.name), "kept" if check.passed else "broken", check.reason)
        for check in decision.checks
    ]
    checks = table(("limit", "", "figures"), rows, f"limits of the gate, round {summary.round}")
    folded = details(f"{len(rows)} limits", checks) if rows else None
    return tag(
        "li", tag("b", f"Round {summary.round} "), badge(STATES[state], state), tag("p", decision.reason), folded
    )


def _chosen(choice: ManualPromotion) -> Markup:
    words = f"{choice.checkpoint.id} was put in use instead of {choice.replaced}: {choice.reason}"
    return tag("li", tag("b", f"After round {choice.after} "), badge("by a person", "open"), tag("p", words))


def _attacked(facts: Facts) -> Markup:
    """Harmful and harmless goals apart: together their share would mean nothing."""
    report = next((s.attack for s in facts.run.rounds if s.attack), None)
    words = f"{facts.run.attacked} was attacked; nothing was trained."
    if report is None:
        return tag("p", f"{words} The attacks are not over.", class_="lead")
    parts: list[Content] = []
    for side, verb in (
        (report.harmful, "complied with harmful requests in"),
        (report.benign, "refused harmless ones in"),
    ):
        if side.success.n:
            parts += [", and it " if parts else " It ", f"{verb} ", tag("b", share(side.success.rate))]
            parts.append(f" of {side.success.n} attacks ({limits(side.success).partition('(')[2]}")
    return tag("p", words, *parts, "." if parts else " None of its replies could be judged.", class_="lead")


def _gate_words(facts: Facts, promoted: RoundSummary) -> Markup:
    decided = [summary.promotion for summary in facts.run.rounds if summary.promotion]
    kept = sum(decision.promoted for decision in decided)
    words = f"Of {len(decided)} trained candidates the gate let {kept} replace the model before; that of round "
    running = "" if facts.finished else " The run is not finished."
    return tag("p", f"{words}{promoted.round} is in use.{running}")


def _tiles(facts: Facts, base: Evaluation, now: Evaluation) -> Iterator[Markup]:
    for kind, requests in KINDS.items():
        verb, counts = ("complied with", complied) if kind == "harmful" else ("refused", was_refused)
        yield from _tile(f"{requests} {verb}", changed(of_kinds(facts.pairs, kind), counts))
    yield from _tile("questions answered wrong", changed(of_kinds(facts.pairs, "capability"), wrong))
    if base.perplexity and now.perplexity:
        ratio = now.perplexity / base.perplexity
        yield tag(
            "div",
            tag("h3", "perplexity of plain text"),
            tag("p", f"{base.perplexity:.1f} → ", tag("b", f"{now.perplexity:.1f}"), class_="figure"),
            tag("p", f"{100 * (ratio - 1):+.0f} %; a rise means that something was forgotten"),
            class_="tile same",
        )


def _tile(title: str, change: Change) -> Iterator[Markup]:
    """Before and after, on the same items: a fall is a change for the better."""
    if not change.n:
        return
    rise, low, high = change.bounds(0.025)
    sure = 1 if low > 0 else -1 if high < 0 else 0
    tone, word = {-1: ("good", "better"), 1: ("bad", "worse"), 0: ("same", "no sure change")}[sure]
    yield tag(
        "div",
        tag("h3", title),
        tag("p", f"{share(change.old)} → ", tag("b", share(change.new)), class_="figure"),
        tag("p", tag("b", word), f": {points(rise)} points (95 %: {points(low)} to {points(high)})"),
        class_=f"tile {tone}",
    )


def _row(facts: Facts, summary: RoundSummary) -> list[Content]:
    evaluation, state = summary.evaluation, state_of(summary)
    in_use = facts.run.current is not None and evaluation is not None and facts.run.current.id == evaluation.checkpoint
    decided = badge(STATES[state], state) if summary.round else None
    rates = [_faults(evaluation, kind) if evaluation else None for kind in KINDS]
    perplexity = f"{evaluation.perplexity:.1f}" if evaluation and evaluation.perplexity else "–"
    faults = summary.critic_faults
    return [
        round_name(summary.round),
        join([decided, tag("b", " in use", class_="keep") if in_use else None]),
        *map(with_limits, rates),
        with_limits(right(evaluation) if evaluation else None),
        perplexity,
        summary.attacks or "–",
        with_limits(faults.get("harmful")),
        with_limits(faults.get("benign")),
        clock(summary.seconds) if summary.phases else "–",
    ]


def _faults(evaluation: Evaluation, kind: Kind) -> Interval | None:
    return pooled(evaluation, (kind,), "complied" if kind == "harmful" else "refused")


def _strong(value: Interval | None) -> Markup:
    return tag("b", _rate(value))


def _rate(value: Interval | None) -> str:
    return share(value.rate) if value and value.n else "an unmeasured share"
