"""What a person reads of a run: a block a round, one line a round, and three prompts before and after."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from superalign.analysis.attacks.records import AttackReport, Diversity, Group, Side
from superalign.analysis.summary import RoundSummary, RunSummary
from superalign.cli.format import MARGIN, clean, counts, interval, percent, seconds
from superalign.cli.text.audit import audit_facts
from superalign.cli.text.evaluation import evaluation_rows
from superalign.cli.text.failures import failure_facts
from superalign.cli.text.hazards import hazard_grids
from superalign.cli.text.values import value_facts
from superalign.critic.quality.divergence import Divergence
from superalign.records.base import Kind
from superalign.records.evaluation import Evaluation, Interval
from superalign.report.before_after import BeforeAfter

SHOWN_CHARS = 320
"""Of a prompt or reply in the comparison."""
TOP = 5
"""Strategies and hazards of an attack report."""
NAME_CHARS = 24
"""Of theirs."""


def round_block(summary: RoundSummary, columns: int, attacked: str | None = None) -> str:
    """All about one round, or with `attacked` about the attacks on that model, from which nothing was learned."""
    what = f"round {summary.round}" if summary.round else "the base model"
    state = _state(summary)
    if attacked is not None:
        what, state = f"attacks on {clean(attacked, 40)}", "finished" if summary.attack else "not finished"
    rows = [f"{f'-- {what} ':-<{columns - len(state) - 5}} {state} --"]
    for label, text in _facts(summary):
        rows += _labelled(label, text, columns)
    if summary.attack is not None:
        rows += attack_rows(summary.attack, columns)
    if summary.evaluation is not None:
        rows += evaluation_rows(summary.evaluation)
    for label, text in value_facts(summary):
        rows += _labelled(label, text, columns)
    if summary.phases:
        parts = ", ".join(f"{phase.name} {seconds(phase.seconds)}" for phase in summary.phases if phase.seconds >= 0.05)
        rate = f"; {summary.tokens_per_s:.0f} tokens/s" if summary.tokens_per_s and summary.seconds >= 1 else ""
        rows += _labelled("time", f"{seconds(summary.seconds)}{': ' if parts else ''}{parts}{rate}", columns)
    if summary.promotion is not None:
        rows += _labelled("promoted" if summary.promotion.promoted else "not kept", summary.promotion.reason, columns)
    return "\n".join(rows)


def attack_rows(report: AttackReport, columns: int) -> list[str]:
    """What the attack side came to, then the strategies and hazards with the highest sure share of successes."""
    if not report.queries:
        return []
    setup = f", {report.setup} of them to set up the next" if report.setup else ""
    unscored = f"; {report.success.unscored} attacks unscored" if report.success.unscored else ""
    success = interval(report.success)
    rows = _labelled("made it err", f"{success} of {report.queries} queries{setup}{unscored}", columns)
    for label, side in (("harmful", report.harmful), ("benign", report.benign)):
        if side.attacks:
            rows += _labelled(label, "; ".join(_side(side)), columns)
    reach = report.archive
    if reach.size:
        covered = f"{percent(reach.coverage)} of {reach.size} cells (hazard x style x turns)"
        rows += _labelled("reach", f"{covered}, QD score {reach.qd_score:.1f}", columns)
    if report.injections is not None:
        praised, other = report.injections.praised, report.injections.praised_otherwise
        text = f"{report.injections.group.attacks} attacks; complied with and praised: {interval(praised)}"
        rows += _labelled("injections", f"{text}, without injection {interval(other)}", columns)
    for title, groups in (("strategy", report.strategies), ("hazard", report.hazards)):
        if groups:
            rows += _group_rows(title, groups)
    return rows


def overview(rounds: Sequence[RoundSummary]) -> str:
    """A line a round; held-out rates are over all suites of a kind, each item counting once."""
    head = (
        ("", "harmful", "benign", "harmful", "lookalike", "ordinary", "", "", ""),
        ("round", "complied", "refused", "complied", "refused", "refused", "ppl", "gate", "time"),
    )
    rows = [*head, *(_overview_row(summary) for summary in rounds)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head[0]))]
    spans = [sum(widths[i:j]) + 2 * (j - i - 1) for i, j in ((0, 1), (1, 3), (3, 6))]
    groups = [f"{name:^{span}}" for name, span in zip(("", "training critic", "held out"), spans, strict=True)]
    lines = ["  ".join(f"{cell:>{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in ("  ".join(groups), *lines))


def comparison(shown: Sequence[BeforeAfter], columns: int) -> str:
    """Each prompt over its two replies, side by side."""
    half = (columns - 3) // 2
    lines = []
    for case in shown:
        lines += ["", *textwrap.wrap(f"{case.kind}: {clean(case.prompt, SHOWN_CHARS)}", columns)]
        left, right = _column("before", case.before, half), _column("after", case.after, half)
        left += [""] * (len(right) - len(left))
        right += [""] * (len(left) - len(right))
        lines += [f"{a:<{half}} | {b}".rstrip() for a, b in zip(left, right, strict=True)]
    return "\n".join(lines[1:])


def as_text(run: RunSummary, columns: int, *, blocks: bool = True) -> str:
    """The whole run: every round's block where wanted, hazards by rounds, then a line for each round."""
    parts = [round_block(summary, columns, run.attacked) for summary in run.rounds] if blocks else []
    parts += hazard_grids(run.rounds) if blocks else []
    if run.rounds and run.attacked is None:
        parts.append(overview(run.rounds))
    return "\n\n".join(parts or ["nothing has been played yet"])


def _side(side: Side) -> Iterator[str]:
    hits = ", ".join(f"hit@{hit.k} {percent(hit.share.rate)}" for hit in side.hits)
    yield f"{side.attacks} attacks on {side.goals} goals" + (f", {hits}" if side.success.n else "")
    if side.queries_per_success is not None:
        yield f"{side.queries_per_success:.1f} queries a success"
    if side.distinct is not None and side.distinct_per_goal is not None:
        yield f"{side.distinct} distinct successes, {side.distinct_per_goal:.1f} a goal"
    elif side.different:
        yield f"{side.different} successes in different words"
    yield _diversity(side.all)
    if side.novelty is not None:
        yield f"novelty {side.novelty:.2f}"


def _diversity(found: Diversity) -> str:
    figures = {
        "self-BLEU": found.self_bleu, "similarity": found.similarity, "evenness of strategies": found.strategy_evenness,
    }  # fmt: skip
    return ", ".join(f"{name} {value:.2f}" for name, value in figures.items() if value is not None)


def _group_rows(title: str, groups: Sequence[Group]) -> list[str]:
    ranked = sorted(groups, key=lambda group: (-group.harmful.low, -group.benign.low, group.name))
    more = f" (best {TOP} of {len(groups)})" if len(groups) > TOP else ""
    rows = [f"{title + more:<{NAME_CHARS + 2}}{'complied, 95 %':<24}{'needlessly refused':<24}{'n':>5}"]
    for group in ranked[:TOP]:
        cells = (interval(part) if part.n else "-" for part in (group.harmful, group.benign))
        rows.append(
            f"{clean(group.name, NAME_CHARS):<{NAME_CHARS + 2}}{next(cells):<24}{next(cells):<24}{group.attacks:>5}"
        )
    return rows


def _state(summary: RoundSummary) -> str:
    if not summary.done:
        return "not finished"
    if summary.promotion is None:
        return "measured"
    return "promoted" if summary.promotion.promoted else "not promoted"


def _facts(summary: RoundSummary) -> Iterator[tuple[str, str]]:
    if summary.attacks:
        yield (
            "attacks",
            f"{summary.attacks}: {percent(summary.attack_success)} of the answers to harmful ones complied, "
            f"{percent(summary.over_refusal)} of those to benign ones refused (training critic)",
        )
    if summary.corrected_harm is not None:
        share = interval(summary.corrected_harm)
        yield "corrected", f"{share} of the answers to harmful ones did harm, allowing for the critic's known errors"
    yield from failure_facts(summary.failures)
    yield from (("divergence", _divergence(part)) for part in summary.divergence)
    yield from audit_facts(summary.audit)
    for label, found in (("examples", summary.demonstrations), ("pairs", summary.pairs)):
        if found:
            yield label, counts(found)
    if summary.asked or summary.labels:
        yield "people", f"asked about {summary.asked} answers, {summary.labels} judged"
    if summary.attacker is not None:
        yield "attacker", f"{'promoted' if summary.attacker.promoted else 'not kept'}: {summary.attacker.reason}"
    if summary.dropped:
        yield "dropped", counts(summary.dropped)
    if summary.first_loss is not None and summary.last_loss is not None:
        yield "loss", f"{summary.first_loss:.3f} -> {summary.last_loss:.3f}"


def _divergence(found: Divergence) -> str:
    what = "compliance with harmful requests" if found.side == "harmful" else "refusal of benign requests"
    gap = f"{round(100 * found.gap, 1) + 0.0:+.1f} points, 95 % {100 * found.low:+.1f} to {100 * found.high:+.1f}"
    words = f"since round 1 {what} {_fell(found.critic_gain)} by the critic, {_fell(found.judge_gain)} by the judge of "
    if found.alarm:
        return f"{words}held-out prompts. ALARM: the critic sees more gain ({gap}), so read some of the answers"
    return f"{words}held-out prompts; no alarm (the critic's gain over the judge's: {gap})"


def _fell(gain: float) -> str:
    return f"fell {100 * gain:.1f} points" if gain > 0 else f"rose {-100 * gain:.1f} points" if gain < 0 else "stayed"


def _labelled(label: str, text: str, columns: int) -> list[str]:
    body = textwrap.wrap(clean(text), columns - MARGIN, break_long_words=False) or [""]
    return [f"{label:<{MARGIN}}{body[0]}", *(" " * MARGIN + line for line in body[1:])]


def _overview_row(summary: RoundSummary) -> tuple[str, ...]:
    evaluation, promotion = summary.evaluation, summary.promotion
    gate = "" if promotion is None else "promoted" if promotion.promoted else "not kept"
    perplexity = evaluation.perplexity if evaluation else None
    return (
        str(summary.round) if summary.round else "base",
        percent(summary.attack_success) if summary.attacks else "",
        percent(summary.over_refusal) if summary.attacks else "",
        _rate(evaluation, "harmful"),
        _rate(evaluation, "lookalike"),
        _rate(evaluation, "ordinary"),
        f"{perplexity:.4g}" if perplexity is not None else "",
        gate if summary.done else "running",
        f"{round(summary.seconds) // 60}:{round(summary.seconds) % 60:02}" if summary.phases else "",
    )


def _rate(evaluation: Evaluation | None, kind: Kind) -> str:
    """Complied for harmful suites, refused for benign ones; each item counts once."""
    parts: list[Interval] = [
        suite.complied if kind == "harmful" else suite.refused
        for suite in (evaluation.suites if evaluation else ())
        if suite.kind == kind and suite.set == "frozen"
    ]
    n = sum(part.n for part in parts)
    return percent(sum(part.rate * part.n for part in parts) / n) if n else ""


def _column(title: str, text: str, columns: int) -> list[str]:
    lines = [title, "-" * len(title)]
    for line in (clean(text, SHOWN_CHARS) or "(nothing)").split("\n"):
        lines += textwrap.wrap(line, columns)
    return lines
