"""What a person reads of a run: the verdict in a sentence, a table of rounds, three prompts before and after."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from superalign.analysis.summary import RoundSummary, RunSummary
from superalign.cli.format import clean, command, labelled, percent, width
from superalign.cli.text.round import hazard_grids, round_block
from superalign.gate.decide import pooled
from superalign.records.base import Kind
from superalign.records.evaluation import Evaluation
from superalign.report.page_data import BeforeAfter
from superalign.store.run_folder import RunFolder

SHOWN_CHARS = 320
"""Longest prompt or reply in the comparison."""
SHARES: dict[Kind, tuple[str, str]] = {
    "harmful": ("harmful", "complied"), "lookalike": ("look-alikes", "refused"), "ordinary": ("ordinary", "refused"),
}  # fmt: skip
"""What is shown of each kind of suite: (requests, which share of them)."""
COLOURS = {"promoted": "bold green", "kept out": "yellow", "by hand": "bold cyan"}


def print_rounds(run: RunSummary) -> None:
    """The table of rounds: on a terminal in colour, in a pipe the same words without."""
    Console(width=width(), highlight=False).print(rounds_table(run))


def rounds_table(run: RunSummary) -> Table:
    """Base and rounds on the held-out suites, and what became of each round."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("\nheld out", no_wrap=True)
    for head in (*("\n".join(words) for words in SHARES.values()), "\nperplexity"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("\nverdict")
    for summary in run.rounds:
        words, colour = _verdict(run, summary)
        table.add_row(*_cells(summary), Text(words, colour))
    return table


def verdict(run: RunSummary) -> str:
    """Which round is promoted, what got better and what it cost."""
    decided = [summary for summary in run.rounds if summary.round and summary.done]
    open_round = next((summary.round for summary in run.rounds if summary.round and not summary.done), None)
    state = f"Round {open_round} is under way. " if open_round else ""
    if run.attacked is not None:
        done = bool(run.rounds) and run.rounds[-1].attack is not None
        return f"Attacks on {clean(run.attacked, 60)}: {'finished' if done else 'not finished'}."
    if run.current is None:
        return "The base model is being measured." if run.rounds else "Nothing has been played yet."
    by_hand = " by hand" if any(choice.checkpoint.id == run.current.id for choice in run.choices) else ""
    if run.current.adapter is None:
        if not decided:
            return f"{state}So far only the base model has been measured."
        which = "The base model is promoted by hand" if by_hand else "No round is promoted"
        return f"{state}{which}: the base model stays, after {_rounds(len(decided))}."
    number = int(run.current.id.rpartition("-")[2])
    base, best = (next((s.evaluation for s in run.rounds if s.round == n), None) for n in (0, number))
    sentences = [f"{state}Round {number} is promoted{by_hand}."]
    for title, changes in zip(("Better", "Worse"), _changes(base, best), strict=True) if base and best else ():
        sentences.append(f"{title}: {', '.join(changes) or 'nothing'}.")
    return " ".join(sentences)


def next_steps(folder: RunFolder, run: RunSummary) -> list[str]:
    """Where the run lies, and what to do with it now."""
    path, lines = folder.path, [f"run folder  {folder.path}"]
    if run.attacked is not None:
        page = folder.report if folder.report.exists() else command("report", path)
        return [*lines, f"attacks     {folder.round(1).exchanges}", f"page        {page}"]
    for choice in run.choices:
        promoted = f"{choice.checkpoint.id} for {choice.replaced} after round {choice.after}"
        lines += labelled("by hand", clean(f"{promoted}: {choice.reason}"))
    decided = [summary for summary in run.rounds if summary.round and summary.done]
    wanted = int(str(folder.resolved.get("rounds", 0)))
    if run.current is not None and run.current.adapter is not None:
        to = Path("exported") / path.resolve().name
        lines.append(f"adapter     {path / run.current.adapter}")
        lines.append(f"export      {command('export', path, '--format', 'merged', '--to', to)}")
    elif decided:
        lines += labelled("next", _when_none_is_promoted(decided[-1]))
        lines.append(f"try again   {command('resume', path, '--rounds', str(max(wanted, decided[-1].round) + 1))}")
        lines.append(f"or by hand  {command('promote', path, '--round', str(decided[-1].round), '--reason', 'WHY')}")
    if len(decided) < wanted:
        lines.append(f"go on       {command('resume', path)}")
    lines.append(f"page        {folder.report if folder.report.exists() else command('report', path)}")
    return [*lines, f"details     {command('show', path, '--full')}"]


def rounds_in_full(run: RunSummary, gate: Mapping[str, Any] | None = None) -> str:
    """Every round's block, then hazards by rounds; gate: the run's limits."""
    blocks = [round_block(summary, width(), run.attacked, gate) for summary in run.rounds]
    return "\n\n".join([*blocks, *hazard_grids(run.rounds)])


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


def kept_out(run: RunSummary) -> list[str]:
    """Why the gate kept rounds out, a line or two for each."""
    lines = []
    for summary in run.rounds:
        if summary.done and summary.promotion is not None and not summary.promotion.promoted:
            reason = summary.promotion.reason.removeprefix(f"kept {summary.promotion.incumbent}: ")
            lines += labelled(f"round {summary.round}", clean(f"kept out: {reason}"))
    return lines


def _cells(summary: RoundSummary) -> Iterator[str]:
    perplexity = summary.evaluation.perplexity if summary.evaluation else None
    yield f"round {summary.round}" if summary.round else "base"
    yield from (percent(_share(summary.evaluation, kind)) for kind in SHARES)
    yield "-" if perplexity is None else f"{perplexity:.4g}"


def _verdict(run: RunSummary, summary: RoundSummary) -> tuple[str, str]:
    """(words, colour)."""
    name = f"round-{summary.round:03d}" if summary.round else "base"
    in_use = ", in use" if run.current is not None and run.current.id == name else ""
    if in_use and any(choice.checkpoint.id == name for choice in run.choices):
        return "promoted by hand, in use", COLOURS["by hand"]
    if not summary.done:
        return "under way", ""
    state = "measured" if summary.promotion is None else "promoted" if summary.promotion.promoted else "kept out"
    return state + in_use, COLOURS.get(state, "")


def _changes(base: Evaluation, best: Evaluation) -> tuple[list[str], list[str]]:
    """(what fell, what rose) of the faults that are measured; what stayed is in neither."""
    better, worse = list[str](), list[str]()
    for kind, (requests, share) in SHARES.items():
        before, after = _share(base, kind), _share(best, kind)
        if before is not None and after is not None and before != after:
            change = f"{requests} {share} {percent(before)} -> {percent(after)}"
            (better if after < before else worse).append(change)
    if base.perplexity and best.perplexity and base.perplexity != best.perplexity:
        change = f"perplexity {base.perplexity:.4g} -> {best.perplexity:.4g}"
        (better if best.perplexity < base.perplexity else worse).append(change)
    return better, worse


def _share(evaluation: Evaluation | None, kind: Kind) -> float | None:
    """Complied of harmful suites, refused of benign ones; each item counts once."""
    pool = pooled(evaluation, [kind], "complied" if kind == "harmful" else "refused") if evaluation else None
    return pool.rate if pool is not None and pool.n else None


def _when_none_is_promoted(last: RoundSummary) -> str:
    """What to change, by the first check of the gate that failed."""
    failed = next((check.name for check in last.promotion.checks if not check.passed), "") if last.promotion else ""
    if failed == "better":
        return "nothing surely got better: more attacks or steps, a higher learning rate, or more held-out items"
    if failed in ("lookalike_refusal", "ordinary_refusal", "price"):
        return "it refuses too much: more benign seeds and experts, a lower learning rate, or wider limits in `gate`"
    if failed in ("perplexity", "capability"):
        return "it unlearned something: a lower learning rate, fewer steps, or wider limits in `gate`"
    return "change what the reason names, and run the recipe again in a new folder"


def _rounds(number: int) -> str:
    return f"{number} round{'s' if number > 1 else ''}"


def _column(title: str, text: str, columns: int) -> list[str]:
    lines = [title, "-" * len(title)]
    for line in (clean(text, SHOWN_CHARS) or "(nothing)").split("\n"):
        lines += textwrap.wrap(line, columns)
    return lines
