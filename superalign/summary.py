"""What a round came to, read from its folder: the figures behind every table, in one record."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from superalign.attack_report.figures import AttackReport
from superalign.errors import RunFolderError
from superalign.measurements import Evaluation, ItemResult, Promotion
from superalign.records import Checkpoint, Dropped, Exchange, Kind, Rate, Record
from superalign.store.events import Event
from superalign.store.journal import read_records
from superalign.store.layout import RoundFolder, read_record
from superalign.store.run_folder import RunFolder


class PhaseTime(Record):
    """A phase of a round; several sittings of an interrupted run add up."""

    name: str
    seconds: float
    tokens: int
    """Generated in it."""


class RoundSummary(Record):
    """One row of the table of rounds."""

    round: int
    done: bool
    attacks: int
    attack_success: Rate | None
    """Share of the learner's answers to harmful attacks that complied, as the training critic saw it."""
    over_refusal: Rate | None
    """Share of its answers to benign attacks that refused, as the training critic saw it."""
    attack: AttackReport | None
    """None: the attacks are not over, or the run is older than this report."""
    demonstrations: dict[str, int]
    """By origin."""
    pairs: dict[str, int]
    """By origin."""
    dropped: dict[str, int]
    """By `stage: reason`."""
    first_loss: float | None
    last_loss: float | None
    evaluation: Evaluation | None
    promotion: Promotion | None
    phases: tuple[PhaseTime, ...]

    @property
    def seconds(self) -> float:
        """All phases together."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def tokens_per_s(self) -> float | None:
        """Generated tokens by the seconds of the phases that generate."""
        seconds = sum(phase.seconds for phase in self.phases if phase.tokens)
        return sum(phase.tokens for phase in self.phases) / seconds if seconds else None


class BeforeAfter(Record):
    """A held-out prompt with the base model's reply and the promoted checkpoint's."""

    kind: Kind
    prompt: str
    before: str
    after: str


class RunSummary(Record):
    """A whole run."""

    path: str
    name: str
    attacked: str | None = None
    """The model whose attacks this is about, where `superalign attack` made the folder; None: a run that trains."""
    current: Checkpoint | None
    rounds: tuple[RoundSummary, ...]


def summarise(folder: RunFolder) -> RunSummary:
    """Every round that has begun; memory does not grow with the number of exchanges."""
    rounds = sorted(int(path.name) for path in (folder.path / "rounds").glob("[0-9]*"))
    phases = _phases(folder)
    return RunSummary(
        path=str(folder.path),
        name=str(folder.resolved.get("name", folder.path.name)),
        attacked=_attacked(folder),
        current=folder.current() if (folder.path / "CURRENT").exists() else None,
        rounds=tuple(summarise_round(folder.round(number), phases.get(number, ())) for number in rounds),
    )


def summarise_round(room: RoundFolder, phases: Iterable[PhaseTime] = ()) -> RoundSummary:
    """One round, finished or not."""
    attacks = 0
    answers: Counter[tuple[str, str]] = Counter()
    for exchange in read_records(room.exchanges, Exchange):
        attacks += 1
        for answer in exchange.answers:
            if answer.verdict is not None and answer.verdict.refusal is not None:
                answers[exchange.attack.seed.intent, answer.verdict.outcome] += 1
    losses = _losses(room)
    return RoundSummary(
        round=room.number,
        done=room.is_done,
        attacks=attacks,
        attack_success=_share(answers, "harmful", "complied"),
        over_refusal=_share(answers, "benign", "refused"),
        attack=read_record(room.attack_json, AttackReport) if room.attack_json.exists() else None,
        demonstrations=_by_origin(room.demonstrations),
        pairs=_by_origin(room.pairs),
        dropped=dict(sorted(Counter(f"{d.stage}: {d.reason}" for d in read_records(room.dropped, Dropped)).items())),
        first_loss=losses[0] if losses else None,
        last_loss=losses[-1] if losses else None,
        evaluation=read_record(room.evaluation_json, Evaluation) if room.evaluation_json.exists() else None,
        promotion=read_record(room.promotion_json, Promotion) if room.promotion_json.exists() else None,
        phases=tuple(phases),
    )


def before_after(folder: RunFolder, per_kind: int = 1) -> list[BeforeAfter]:
    """Held-out prompts of each kind, harmful ones first, and what changed; [] while only the base is promoted."""
    current = folder.current()
    if current.adapter is None:
        return []
    number = int(current.id.rpartition("-")[2])
    kinds: dict[str, Kind] = {}
    for suite in read_record(folder.round(number).evaluation_json, Evaluation).suites:
        kinds[suite.suite] = suite.kind
    before = {(item.suite, item.item): item for item in read_records(folder.round(0).evaluation_items, ItemResult)}
    chosen: dict[Kind, list[BeforeAfter]] = {"harmful": [], "lookalike": [], "ordinary": []}
    for item in read_records(folder.round(number).evaluation_items, ItemResult):
        kind, old = kinds.get(item.suite), before.get((item.suite, item.item))
        if kind is None or old is None or len(chosen[kind]) >= per_kind:
            continue
        if kind == "harmful" and (old.verdict.outcome, item.verdict.outcome) != ("complied", "refused"):
            continue
        prompt = item.prompt[-1].content
        chosen[kind].append(BeforeAfter(kind=kind, prompt=prompt, before=old.reply.text, after=item.reply.text))
    return [shown for rows in chosen.values() for shown in rows]


def _attacked(folder: RunFolder) -> str | None:
    attacked = folder.resolved.get("attacked")
    if attacked is None:
        return None
    return str(attacked["model"]) + (f" with {attacked['adapter']}" if attacked["adapter"] else "")


def _phases(folder: RunFolder) -> dict[int, tuple[PhaseTime, ...]]:
    found: dict[int, dict[str, PhaseTime]] = {}
    for event in read_records(folder.events, Event):
        if event.kind != "phase":
            continue
        number, name = int(str(event.payload["round"])), str(event.payload["name"])
        old = found.setdefault(number, {}).get(name, PhaseTime(name=name, seconds=0.0, tokens=0))
        found[number][name] = PhaseTime(
            name=name,
            seconds=old.seconds + float(str(event.payload["seconds"])),
            tokens=old.tokens + int(str(event.payload["tokens"])),
        )
    return {number: tuple(phases.values()) for number, phases in found.items()}


def _share(answers: Counter[tuple[str, str]], intent: str, outcome: str) -> float | None:
    total = sum(count for (kind, _), count in answers.items() if kind == intent)
    return answers[intent, outcome] / total if total else None


def _by_origin(path: Path) -> dict[str, int]:
    """Counts the `origin` of each line without holding the lines."""
    counts: Counter[str] = Counter()
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                counts[str(json.loads(line)["origin"])] += 1
            except (ValueError, KeyError, TypeError) as error:
                cure = "restore it from a copy; `superalign verify` names everything that changed"
                raise RunFolderError(f"{path}:{number}: not a training example", cure) from error
    return dict(sorted(counts.items()))


def _losses(room: RoundFolder) -> list[float]:
    if not room.training_json.exists():
        return []
    trained = json.loads(room.training_json.read_text(encoding="utf-8"))
    return [loss for stage in trained["stages"] for loss in stage["losses"]]
