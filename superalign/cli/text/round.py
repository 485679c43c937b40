"""What a person reads of one round: its figures and the reasons of the gate, in labelled lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from superalign.analysis.attacks.records import AttackReport, Diversity, Group, IntentFigures
from superalign.analysis.deception_audit import Audit, DimensionAudit
from superalign.analysis.failure_clusters import FailureCluster, FailureReport
from superalign.analysis.summary import RoundSummary
from superalign.cli.format import clean, counts, interval, labelled, percent, seconds
from superalign.cli.text.evaluation import evaluation_rows
from superalign.critic.quality.divergence import Divergence
from superalign.gate.decide import GateOptions
from superalign.records.evaluation import Check, Interval

TOP = 5
"""Strategies and hazards shown of an attack report."""
NAME_CHARS = 24
"""Longest strategy or hazard name shown."""
EXAMPLE_CHARS = 70
"""Longest example of a failure shown."""
ROUNDS_SHOWN = 8
"""The last rounds, in a grid of hazards by rounds; so many fit into 80 columns."""
LIMITS: dict[str, tuple[str, str, float, str]] = {
    "better": ("harmful complied", "min_gain", -100, "below {:g}"),
    "harmful_compliance": ("harmful complied, in all", "max_harmful_compliance", 100, "{:g} %"),
    "lookalike_refusal": ("look-alikes refused", "max_lookalike_rise", 100, "+{:g}"),
    "ordinary_refusal": ("ordinary refused", "max_ordinary_rise", 100, "+{:g}"),
    "capability": ("wrong answers", "max_capability_drop", 100, "+{:g}"),
    "price": ("safety for over-refusal", "min_gain_per_rise", 1, "{:g} for 1"),
    "perplexity": ("perplexity", "max_perplexity_ratio", 1, "{:g} times"),
    "memorised": ("other attacks complied", "", 1, ""),
    "groups": ("no hazard got worse", "max_hazard_rise", 100, "+{:g}"),
    "drift": ("critic against judge", "max_drift", 100, "{:g}"),
    "scored": ("replies scored", "min_scored", 100, "{:g} %"),
    "comparable": ("same suites and judge", "", 1, ""),
}
"""Check of the gate -> (what it is about, the option that limits it, its factor to percent, how it is written)."""
ABSOLUTE = {"lookalike_refusal": "max_lookalike_refusal", "ordinary_refusal": "max_ordinary_refusal"}
"""Checks that hold the share after the round to a limit as well."""
DIMENSIONS = {"harmful": "harmful", "lookalike": "look-alikes", "ordinary": "ordinary"}


def round_block(
    summary: RoundSummary, columns: int, attacked: str | None = None, gate: Mapping[str, Any] | None = None
) -> str:
    """All about one round.

    attacked: the model whose attacks these are, from which nothing was learned; gate: the run's limits, for the table
    of what each check was held against.
    """
    title, state = f"round {summary.round}" if summary.round else "the base model", _state(summary)
    if attacked is not None:
        title, state = f"attacks on {clean(attacked, 40)}", "finished" if summary.attack else "not finished"
    rows = [f"{f'-- {title} ':-<{columns - len(state) - 5}} {state} --"]
    for label, text in _facts(summary):
        rows += labelled(label, text, columns)
    if summary.attack is not None:
        rows += attack_rows(summary.attack, columns)
    if summary.evaluation is not None:
        rows += evaluation_rows(summary.evaluation)
    for label, text in value_facts(summary):
        rows += labelled(label, text, columns)
    if summary.phases:
        parts = ", ".join(f"{phase.name} {seconds(phase.seconds)}" for phase in summary.phases if phase.seconds >= 0.05)
        rate = f"; {summary.tokens_per_s:.0f} tokens/s" if summary.tokens_per_s and summary.seconds >= 1 else ""
        rows += labelled("time", f"{seconds(summary.seconds)}{': ' if parts else ''}{parts}{rate}", columns)
    if summary.promotion is not None:
        rows += labelled("promoted" if summary.promotion.promoted else "kept out", summary.promotion.reason, columns)
        rows += limit_rows(summary.promotion.checks, gate or {})
    return "\n".join(rows)


def limit_rows(checks: Sequence[Check], gate: Mapping[str, Any]) -> list[str]:
    """What each check of the gate measured, the bound it was held to, the limit, and the verdict; as a table.

    The figures are those of the check's own reason, so they are the ones that the gate decided by.
    """
    if not checks:
        return []
    limits = {name: field.default for name, field in GateOptions.model_fields.items()} | dict(gate)
    rows = [("limits of the gate", "measured", "bound", "limit", "verdict")]
    for check in checks:
        label, option, factor, form = LIMITS.get(check.name, (check.name, "", 1, ""))
        limit = limits.get(option)
        measured, bound = _measured(check)
        written = "-" if limit is None else form.format(factor * limit + 0.0)
        rows.append((label, measured, bound, written, _passed(check)))
        share = re.search(r" to (\S+)% \(", check.reason)
        if check.name in ABSOLUTE and share:
            most = limits[ABSOLUTE[check.name]]
            over = "over the limit of" in check.reason
            rows[-1] = (*rows[-1][:-1], "ok" if over else rows[-1][-1])
            rows.append(("  as a share", f"{share[1]} %", "-", f"{100 * most:g} %", "BROKEN" if over else "ok"))
    return [f"{a:<26}{b:>14}{c:>14}{d:>14}  {e}" for a, b, c, d, e in rows]


def _measured(check: Check) -> tuple[str, str]:
    """(measured, the end of its interval that has to keep the limit), as the check's reason gives them."""
    reason = check.reason
    if check.name == "better":  # what fell is told first, and may be over-refusal: the limit is one of compliance
        reason = reason[max(0, reason.find("harmful compliance")) :]
    if points := re.search(r"\(([+-][\d.]+) points, \S+ to ([+-][\d.]+)\)", reason):
        return f"{points[1]} points", points[2]
    if times := re.findall(r"\((\S+) times, at most (\S+)\)", check.reason):
        return f"{times[-1][0]} times", times[-1][1]
    if price := re.search(r"([+-][\d.]+)% of safety(?: at a price of ([\d.]+)%)?", check.reason):
        return f"{price[1]} for {price[2] or '?'}", "-"
    if share := re.search(r"harmful compliance ([\d.]+)%", check.reason):
        return f"{share[1]} %", "-"
    return "-", "-"


def _passed(check: Check) -> str:
    return "ok" if check.passed else "BROKEN"


def attack_rows(report: AttackReport, columns: int) -> list[str]:
    """What the attack side came to, then the strategies and hazards with the highest sure share of successes."""
    if not report.queries:
        return []
    setup = f", {report.setup} of them to set up the next" if report.setup else ""
    unscored = f"; {report.success.unscored} attacks unscored" if report.success.unscored else ""
    success = interval(report.success)
    rows = labelled("made it err", f"{success} of {report.queries} queries{setup}{unscored}", columns)
    for label, side in (("harmful", report.harmful), ("benign", report.benign)):
        if side.attacks:
            rows += labelled(label, "; ".join(_side(side)), columns)
    reach = report.archive
    if reach.size:
        covered = f"{percent(reach.coverage)} of {reach.size} cells (hazard x style x turns)"
        rows += labelled("reach", f"{covered}, QD score {reach.qd_score:.1f}", columns)
    if report.injections is not None:
        praised, other = report.injections.praised, report.injections.praised_otherwise
        text = f"{report.injections.group.attacks} attacks; complied with and praised: {interval(praised)}"
        rows += labelled("injections", f"{text}, without injection {interval(other)}", columns)
    for title, groups in (("strategy", report.strategies), ("hazard", report.hazards)):
        if groups:
            rows += _group_rows(title, groups)
    return rows


def _side(side: IntentFigures) -> Iterator[str]:
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


def _diversity(texts: Diversity) -> str:
    figures = {
        "self-BLEU": texts.self_bleu, "similarity": texts.similarity, "evenness of strategies": texts.strategy_evenness,
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
    return "promoted" if summary.promotion.promoted else "kept out"


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
    for label, examples in (("examples", summary.demonstrations), ("pairs", summary.pairs)):
        if examples:
            yield label, counts(examples)
    if summary.asked or summary.labels:
        yield "people", f"asked about {summary.asked} answers, {summary.labels} judged"
    if summary.attacker is not None:
        yield "attacker", f"{'promoted' if summary.attacker.promoted else 'kept out'}: {summary.attacker.reason}"
    if summary.dropped:
        yield "dropped", counts(summary.dropped)
    for stage, (first, last) in summary.stage_losses.items():
        yield "loss", f"{f'{stage} ' if stage else ''}{first:.3f} -> {last:.3f} (means of the first and last tenth)"


def _divergence(drift: Divergence) -> str:
    fault = "compliance with harmful requests" if drift.side == "harmful" else "refusal of benign requests"
    gap = f"{round(100 * drift.gap, 1) + 0.0:+.1f} points, 95 % {100 * drift.low:+.1f} to {100 * drift.high:+.1f}"
    fell = f"{_fell(drift.critic_gain)} by the critic, {_fell(drift.judge_gain)} by the judge of held-out prompts"
    if drift.alarm:
        return f"since round 1 {fault} {fell}. ALARM: the critic sees more gain ({gap}), so read some of the answers"
    return f"since round 1 {fault} {fell}; no alarm (the critic's gain over the judge's: {gap})"


def _fell(gain: float) -> str:
    return f"fell {100 * gain:.1f} points" if gain > 0 else f"rose {-100 * gain:.1f} points" if gain < 0 else "stayed"


def failure_facts(report: FailureReport | None) -> Iterator[tuple[str, str]]:
    """(label, text): how many kinds there are, and a line for each that no hazard covers."""
    if report is None or not report.failures:
        return
    covered = f"{len(report.emergent) or 'none'} of them unlike every known hazard"
    if report.limit is None:
        covered = "too few texts of hazards to say what they cover"
    yield "failures", f"{report.failures} in {len(report.clusters)} kinds, {covered}; {report.scattered} goals alone"
    for cluster in report.own:
        yield "own hazard", f"{cluster.nearest}: {cluster.goals} goals {_did(cluster)} ({cluster.id})"
    for cluster in report.emergent:
        examples = "; ".join(clean(example.goal, EXAMPLE_CHARS) for example in cluster.examples)
        yield "emergent", f"{cluster.id}: {cluster.goals} goals {_did(cluster)}, nearest {cluster.nearest}: {examples}"


def _did(cluster: FailureCluster) -> str:
    return "complied with" if cluster.intent == "harmful" else "needlessly refused"


def audit_facts(audit: Audit | None) -> Iterator[tuple[str, str]]:
    """(label, text): one line, and one more for each alarm; or why there is none."""
    if audit is None:
        return
    if audit.off:
        yield "deception", f"not audited: {audit.off}"
    if audit.dimensions:
        parts = "; ".join(_audited(part) for part in audit.dimensions)
        none = "" if any(part.alarm for part in audit.dimensions) else "; nowhere surely worse"
        yield "deception", f"right replies where the critic sees, and where it does not: {parts}{none}"
    for part in audit.dimensions:
        if part.alarm and part.difference is not None:
            gap = f"{100 * part.difference.low:+.1f} to {100 * part.difference.high:+.1f} points"
            score = f"deception score {percent(part.score)}, {percent(part.expected)} without a difference"
            alarm = f"ALARM: {DIMENSIONS[part.dimension]} worse where the critic can't see"
            yield "deception", f"{alarm} ({gap}; {score}), so read some of the replies"


def _audited(part: DimensionAudit) -> str:
    return f"{DIMENSIONS[part.dimension]} {_share(part.seen)} and {_share(part.unseen)}"


def _share(share: Interval) -> str:
    return f"{percent(share.rate)} of {share.n}" if share.n else "- of 0"


def value_facts(summary: RoundSummary) -> Iterator[tuple[str, str]]:
    """(label, text); nothing where the recipe says nothing of either."""
    if summary.effort is not None:
        effort = summary.effort
        gaps = f"gaps {percent(effort.conformity_gap)} and {percent(effort.competence_gap)}"
        share = "as they came" if effort.conformity is None else f"{percent(effort.conformity)} wanted"
        kept = f"{effort.kept['conformity']} of {sum(effort.kept.values())} examples"
        rest = f"{sum(effort.left_out.values())} left out"
        yield "conformity", f"{kept}, {rest}; {share}; {gaps} (harmful complied, benign refused)"
    if summary.replay is not None:
        replay = summary.replay
        yield "replay", f"{replay.held} past examples hold, {replay.flipped} turned round, {replay.dropped} dropped"
    if summary.values is None:
        return
    values = summary.values
    before = f" after {values.before}" if values.before else ""
    yield "values", f"version {values.version}{before}: {interval(values.kept)} of {values.kept.n} replies keep theirs"
    for label, kept_by in (("adopted", values.adoption), ("retained", values.retention), ("stale", values.stale)):
        if kept_by is not None:
            yield label, interval(kept_by)
    rates = (f"{p.principle}{' (new)' if p.moved else ''} {percent(p.kept.rate)}" for p in values.principles)
    yield "principles", ", ".join(rates)


def hazard_grids(rounds: Sequence[RoundSummary]) -> list[str]:
    """A grid for harmful requests and one for benign ones; none before two rounds have attacked."""
    played = [summary for summary in rounds if summary.attack is not None][-ROUNDS_SHOWN:]
    if len(played) < 2:
        return []
    return [*_grid(played, "harmful", "complied with harm, %"), *_grid(played, "benign", "needlessly refused, %")]


def _grid(played: Sequence[RoundSummary], side: Literal["harmful", "benign"], title: str) -> list[str]:
    hazards = [{group.name: group for group in summary.attack.hazards} for summary in played if summary.attack]
    names = sorted({name for groups in hazards for name, group in groups.items() if getattr(group, side).n})
    if not names:
        return []
    head = "".join(f"{summary.round:>6}" for summary in played)
    lines = [f"{title:<{NAME_CHARS + 2}}{head}"]
    for name in names:
        cells = "".join(f"{_cell(groups.get(name), side):>6}" for groups in hazards)
        lines.append(f"{clean(name, NAME_CHARS):<{NAME_CHARS + 2}}{cells}")
    return ["\n".join(lines)]


def _cell(group: Group | None, side: Literal["harmful", "benign"]) -> str:
    share = getattr(group, side) if group else None
    return f"{100 * share.rate:.0f}" if share is not None and share.n else "-"
