"""Reads the figures of a round or run, which all tables and pages show, from its folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from pydantic import Field

from superalign.analysis.attacks.records import AttackReport
from superalign.analysis.deception_audit import Audit
from superalign.analysis.failure_clusters import FailureReport
from superalign.critic.quality.divergence import Divergence, divergence
from superalign.errors import RunFolderError
from superalign.gate.decide import pooled
from superalign.pairing.kind_shares import Effort
from superalign.records.base import INTENTS, Intent, Rate, Record
from superalign.records.evaluation import Evaluation, Interval, Promotion
from superalign.records.exchange import Dropped, Exchange
from superalign.records.training import Checkpoint
from superalign.review.labels import Label
from superalign.stats.intervals import corrected_share, wilson
from superalign.store.journal import Event, Stored, read_records
from superalign.store.manifest import ManualPromotion
from superalign.store.round_folder import RoundFolder, read_record, round_of
from superalign.store.run_folder import RunFolder
from superalign.values.metrics import ValuesReport
from superalign.values.replay import ReplayCounts, Replayed, counted


def divergences(
    first: Mapping[Intent, Interval], this: Mapping[Intent, Interval], before: Evaluation, after: Evaluation
) -> tuple[Divergence, ...]:
    """first, this: the critic's fault rates in two rounds; before, after: the judge's, of the attacked learners."""
    gaps = [
        divergence(side, first[side], this[side], old, new)
        for side in INTENTS
        if side in first and side in this
        if (old := _held_out(before, side)) and (new := _held_out(after, side))
    ]
    return tuple(gap for gap in gaps if gap is not None)


def attacked_in(folder: RunFolder, number: int) -> int:
    """The round that trained the checkpoint attacked in round `number`; -1: none."""
    attacked = folder.standing(number - 1)
    return -1 if attacked is None else round_of(attacked)


def _held_out(evaluation: Evaluation, side: Intent) -> Interval | None:
    """The judge's rate of faults on held-out items."""
    if side == "harmful":
        return pooled(evaluation, ("harmful",), "complied")
    return pooled(evaluation, ("lookalike", "ordinary"), "refused")


_R = TypeVar("_R", bound=Record)


class PhaseTime(Record):
    """Time of a phase of a round, summed over interruptions."""

    name: str
    seconds: float
    tokens: int
    """Generated tokens."""


class RoundSummary(Record):
    """One row of the table of rounds."""

    round: int
    done: bool
    attacks: int
    attack_success: Rate | None
    """Share of the learner's answers to harmful attacks that complied, by the training critic."""
    over_refusal: Rate | None
    """Share of its answers to benign attacks that refused, by the training critic."""
    critic_faults: dict[Intent, Interval]
    """Both rates with their intervals, if there are such answers."""
    corrected_harm: Interval | None = None
    """Share of its answers to harmful attacks that are harmful, corrected by the critic's measured errors; None: the
    recipe names no `critic_calibration`."""
    divergence: tuple[Divergence, ...] = ()
    """Critic against judge since the first round."""
    attack: AttackReport | None
    """None: the attacks are not finished, or the run is older than this report."""
    failures: FailureReport | None = None
    """None: as above, or the run uses no embedder."""
    demonstrations: dict[str, int]
    """By origin."""
    pairs: dict[str, int]
    """By origin."""
    dropped: dict[str, int]
    """By `stage: reason`."""
    first_loss: float | None
    """Mean over the first tenth of the steps of the first stage of training: single batches differ too much."""
    last_loss: float | None
    """Mean over the last tenth of the steps of the last stage."""
    stage_losses: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """Both means for each stage."""
    evaluation: Evaluation | None
    promotion: Promotion | None
    attacker: Promotion | None = None
    """The gate's decision about the attacker, if it was trained."""
    asked: int = 0
    """Answers queued for people to label."""
    labels: int = 0
    """Answers that people had labelled when the round's examples were made."""
    values: ValuesReport | None = None
    """How well the constitution's principles are kept; None: the recipe holds out no requests by principle."""
    replay: ReplayCounts | None = None
    """How past examples were reused when the constitution changed."""
    effort: Effort | None = None
    """How the examples were divided between conformity and competence, if the recipe says how."""
    audit: Audit | None = None
    """The deception audit."""
    phases: tuple[PhaseTime, ...]

    @property
    def seconds(self) -> float:
        """Sum over all phases."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def tokens_per_s(self) -> float | None:
        """Generated tokens divided by the seconds of the phases that generate."""
        seconds = sum(phase.seconds for phase in self.phases if phase.tokens)
        return sum(phase.tokens for phase in self.phases) / seconds if seconds else None


class RunSummary(Record):
    """A whole run."""

    path: str
    name: str
    attacked: str | None = None
    """The attacked model, if `superalign attack` made the folder; None: a run that trains."""
    current: Checkpoint | None
    choices: tuple[ManualPromotion, ...] = ()
    """What people promoted over the gate's head."""
    measured_critic: dict[str, Interval] = Field(default_factory=dict)
    """The critic's measured `sensitivity` and `specificity`; empty: the recipe names no `critic_calibration`."""
    rounds: tuple[RoundSummary, ...]


def summarise(folder: RunFolder) -> RunSummary:
    """Every round that has begun; memory does not grow with the number of exchanges."""
    rounds = sorted(int(path.name) for path in (folder.path / "rounds").glob("[0-9]*"))
    phases = _phases(folder)
    rates = folder.resolved.get("measured_critic") or {}
    errors = {name: Interval.model_validate(rate) for name, rate in rates.items()}
    summaries = [summarise_round(folder.round(number), phases.get(number, ()), errors) for number in rounds]
    return RunSummary(
        path=str(folder.path),
        name=str(folder.resolved.get("name", folder.path.name)),
        attacked=_attacked(folder),
        current=folder.current() if (folder.path / "CURRENT").exists() else None,
        measured_critic=errors,
        choices=folder.choices(),
        rounds=tuple(_diverged(folder, summaries)),
    )


def summarise_round(
    round_folder: RoundFolder, phases: Iterable[PhaseTime] = (), errors: Mapping[str, Interval] | None = None
) -> RoundSummary:
    """One round, finished or not; errors: the critic's measured `sensitivity` and `specificity`."""
    attacks = 0
    answers: Counter[tuple[str, str]] = Counter()
    harmful: Counter[bool] = Counter()
    for exchange in read_records(round_folder.exchanges, Exchange):
        attacks += 1
        for answer in exchange.answers:
            if answer.verdict is not None and answer.verdict.refusal is not None:
                answers[exchange.attack.seed.intent, answer.verdict.outcome] += 1
            if exchange.attack.seed.intent == "harmful" and answer.verdict and answer.verdict.harm is not None:
                harmful[answer.verdict.harm >= 0.5] += 1
    losses = _losses(round_folder)
    dropped = Counter(f"{drop.stage}: {drop.reason}" for drop in read_records(round_folder.dropped, Dropped))
    faults = {side: _faults(answers, side) for side in INTENTS}
    judged = wilson(harmful[True], harmful.total()) if errors else None
    return RoundSummary(
        round=round_folder.number,
        done=round_folder.is_done,
        attacks=attacks,
        attack_success=faults["harmful"].rate if faults["harmful"].n else None,
        over_refusal=faults["benign"].rate if faults["benign"].n else None,
        critic_faults={side: found for side, found in faults.items() if found.n},
        corrected_harm=corrected_share(judged, **errors) if judged and errors else None,
        attack=_read(round_folder.attack_json, AttackReport),
        failures=_read(round_folder.failures_json, FailureReport),
        demonstrations=_by_origin(round_folder.demonstrations),
        pairs=_by_origin(round_folder.pairs),
        dropped=dict(sorted(dropped.items())),
        first_loss=next((first for first, _ in losses.values()), None),
        last_loss=next((last for _, last in reversed(losses.values())), None),
        stage_losses=losses,
        evaluation=_read(round_folder.evaluation_json, Evaluation),
        promotion=_read(round_folder.promotion_json, Promotion),
        attacker=_read(round_folder.attacker_promotion, Promotion),
        asked=len(Stored(round_folder.queue, Record)),
        labels=len({label.item for label in read_records(round_folder.labels, Label) if label.action == "judge"}),
        values=_read(round_folder.values_json, ValuesReport),
        replay=counted(read_records(round_folder.replay, Replayed)) if round_folder.replay.exists() else None,
        effort=_read(round_folder.effort_json, Effort),
        audit=_read(round_folder.audit_json, Audit),
        phases=tuple(phases),
    )


def _read(path: Path, record: type[_R]) -> _R | None:
    return read_record(path, record) if path.exists() else None


def _attacked(folder: RunFolder) -> str | None:
    attacked = folder.resolved.get("attacked")
    if attacked is None:
        return None
    return str(attacked["model"]) + (f" with {attacked['adapter']}" if attacked["adapter"] else "")


def _phases(folder: RunFolder) -> dict[int, tuple[PhaseTime, ...]]:
    times: dict[int, dict[str, PhaseTime]] = {}
    for event in read_records(folder.events, Event):
        if event.kind != "phase":
            continue
        number, name = int(str(event.payload["round"])), str(event.payload["name"])
        old = times.setdefault(number, {}).get(name, PhaseTime(name=name, seconds=0.0, tokens=0))
        times[number][name] = PhaseTime(
            name=name,
            seconds=old.seconds + float(str(event.payload["seconds"])),
            tokens=old.tokens + int(str(event.payload["tokens"])),
        )
    return {number: tuple(phases.values()) for number, phases in times.items()}


def _faults(answers: Counter[tuple[str, str]], side: Intent) -> Interval:
    """Rate of compliance with harmful requests, or of refusal of benign ones."""
    total = sum(count for (intent, _), count in answers.items() if intent == side)
    return wilson(answers[side, "complied" if side == "harmful" else "refused"], total)


def _diverged(folder: RunFolder, rounds: Sequence[RoundSummary]) -> Iterator[RoundSummary]:
    """Adds to every round the divergence of critic and judge over the learners that were attacked."""
    measured = {summary.round: summary.evaluation for summary in rounds}
    first = next((summary for summary in rounds if summary.critic_faults), None)
    for summary in rounds:
        then, now = (attacked_in(folder, played.round) for played in (first or summary, summary))
        before, after = measured.get(then), measured.get(now)
        if first is None or then == now or before is None or after is None:
            yield summary
            continue
        gaps = divergences(first.critic_faults, summary.critic_faults, before, after)
        yield summary.model_copy(update={"divergence": gaps})


def _by_origin(path: Path) -> dict[str, int]:
    """Counts the lines by `origin`, one line in memory at a time."""
    counts: Counter[str] = Counter()
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                counts[str(json.loads(line)["origin"])] += 1
            except (ValueError, KeyError, TypeError) as error:
                hint = "restore it from a copy; `superalign verify` names everything that changed"
                raise RunFolderError(f"{path}:{number}: not a training example", hint) from error
    return dict(sorted(counts.items()))


def _losses(round_folder: RoundFolder) -> dict[str, tuple[float, float]]:
    """Stage -> its mean loss over the first and over the last tenth of its steps."""
    if not round_folder.training_json.exists():
        return {}
    trained = json.loads(round_folder.training_json.read_text(encoding="utf-8"))
    means = {}
    for stage in trained["stages"]:
        if losses := stage["losses"]:
            tenth = max(1, len(losses) // 10)
            means[str(stage.get("name", ""))] = (fmean(losses[:tenth]), fmean(losses[-tenth:]))
    return means
