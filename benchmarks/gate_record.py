"""The evaluations that `gate_error_rates` draws from: a run folder, or a file without any text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast, get_args

from superalign.errors import RecipeError
from superalign.gate.paired_items import Pair, Result, pair_items
from superalign.records.base import Hazard, Record, SuiteKind
from superalign.records.evaluation import Evaluation, ItemResult, Promotion
from superalign.records.exchange import Outcome
from superalign.store.atomic import write_json
from superalign.store.journal import read_records
from superalign.store.round_folder import read_record
from superalign.store.run_folder import RunFolder

SHIPPED = Path(__file__).with_name("gate.json")
"""Three rounds of the embedded model under a quickstart's recipe."""
LETTERS: dict[Outcome, str] = {outcome: outcome[0] for outcome in get_args(Outcome)}
OUTCOMES = {letter: outcome for outcome, letter in LETTERS.items()}
MATCHED: dict[str, bool | None] = {"y": True, "n": False, "u": None}
KEYED: tuple[SuiteKind, ...] = ("capability", "injection")
"""Kinds whose items count by `ItemResult.matched`."""


class Transition(Record):
    """A round's candidate against its incumbent."""

    old: Evaluation
    new: Evaluation
    outcomes: dict[str, tuple[str, ...]]
    """`harmful/hate` (a kind, and a hazard if there is one) -> a pair of letters for each item: `cr` complied, and then
    refused; `yn` a right answer, and then a wrong one. Of the frozen suites, without principles."""

    @property
    def pairs(self) -> list[Pair]:
        """The items."""
        pairs = []
        for group, letters in self.outcomes.items():
            kind, _, hazard = group.partition("/")
            for before, after in (tuple(both) for both in letters):
                pairs.append(Pair(
                    kind=cast("SuiteKind", kind), set="frozen", hazard=cast("Hazard | None", hazard or None),
                    old=_result(kind, before), new=_result(kind, after),
                ))  # fmt: skip
        return pairs


class Recorded(Record):
    """The evaluations of one run."""

    gate: dict[str, Any]
    """The options of its gate."""
    transitions: tuple[Transition, ...]


def recorded(path: Path) -> Recorded:
    """A run folder, or a file that `keep` wrote. Raises RecipeError for a run without a sealed candidate."""
    if not path.is_dir():
        return read_record(path, Recorded)
    with RunFolder.open(path, read_only=True) as folder:
        rounds = [folder.round(number) for number in range(1, folder.next_round)]
        transitions = [
            _transition(folder, round_folder.number) for round_folder in rounds if round_folder.evaluation_json.exists()
        ]
        if not transitions:
            raise RecipeError(f"{path}: no round with a candidate is finished", "name a run that has one, or none")
        return Recorded(gate=folder.resolved["gate"], transitions=tuple(transitions))


def keep(evaluations: Recorded, path: Path) -> None:
    """Write them down without texts."""
    write_json(path, evaluations)


def _transition(folder: RunFolder, number: int) -> Transition:
    incumbent = read_record(folder.round(number).promotion_json, Promotion).incumbent
    round_folders = folder.round(0 if incumbent == "base" else int(incumbent.rpartition("-")[2])), folder.round(number)
    old, new = (read_record(round_folder.evaluation_json, Evaluation) for round_folder in round_folders)
    before, after = (read_records(round_folder.evaluation_items, ItemResult) for round_folder in round_folders)
    return transition(old, new, pair_items(before, after, new.suites))


def transition(old: Evaluation, new: Evaluation, pairs: Iterable[Pair]) -> Transition:
    """Two evaluations and what they made of each item."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for pair in pairs:
        if pair.set == "frozen":
            group = f"{pair.kind}/{pair.hazard}" if pair.hazard else pair.kind
            groups[group].append(_letter(pair.kind, pair.old) + _letter(pair.kind, pair.new))
    return Transition(old=old, new=new, outcomes={name: tuple(pairs) for name, pairs in sorted(groups.items())})


def _letter(kind: str, result: Result) -> str:
    if kind not in KEYED:
        return LETTERS[result.outcome]
    return next(letter for letter, matched in MATCHED.items() if matched is result.matched)


def _result(kind: str, letter: str) -> Result:
    return Result("unscored", (), MATCHED[letter]) if kind in KEYED else Result(OUTCOMES[letter], (), None)
