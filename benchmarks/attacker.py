"""`python -m benchmarks attacker`: what training the attacker's model is worth on goals that it was not trained on.

Each repeat draws attacks on the training goals, trains an adapter on those that worked against a frozen learner, and
has both attackers, trained and not, attack the held-out goals; by the code that a run uses. With `out` a bench that was
killed goes on where it was.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.variants import Teller
from superalign.assembly import plan as build
from superalign.attacker.training_data import held_out
from superalign.config.recipe import Recipe
from superalign.gate.attacker import AttackerFigures
from superalign.loop.orchestrator import Loop
from superalign.records.base import Record
from superalign.records.rollout import Rollout
from superalign.records.training import Checkpoint, Demonstration, PreferencePair
from superalign.stats.intervals import Bounds, paired_mean
from superalign.store.journal import Stored
from superalign.store.run_folder import RunFolder


class AttackerSide(Record):
    """One attacker on the held-out goals."""

    success: float | None
    """Mean over the goals of the share of attacks that worked and were valid; None: nothing was scored."""
    valid: float
    """Share of rollouts whose attack keeps its goal and can be read, whether it worked or not."""
    invalid: float
    """Share of rollouts that made the learner err by giving up the goal, or by gibberish."""
    self_bleu: float | None
    """Self-BLEU of valid attacks, on each goal equally many of both attackers."""
    similarity: float | None
    """Mean cosine of two of these attacks."""


class AttackerRepeat(Record):
    """One repeat."""

    seed: int
    demonstrations: int
    pairs: int
    before: AttackerSide | None
    """None: nothing was trained, so nothing was measured; `decision` says why."""
    after: AttackerSide | None
    promoted: bool
    decision: str
    seconds: float


class AttackerBench(Record):
    """All repeats."""

    model: str
    learner: str
    training_goals: int
    held_out_goals: int
    drafts: int
    """Attacks drawn on each training goal."""
    repeats: tuple[AttackerRepeat, ...]
    gain: float
    """After less before, the mean over held-out goals, each over all repeats."""
    gain_low: float
    """95 % interval over goals; training goals and their draws are taken as given."""
    gain_high: float
    self_bleu_rise: float
    """After less before in the same way."""
    self_bleu_low: float
    self_bleu_high: float


async def run(
    model: str = "smollm2-135m",
    learner: str | None = None,
    files: Sequence[str] = ("seeds/harmful.yaml", "seeds/harmful_more.yaml", "seeds/harmful_asked.yaml"),
    strategies: Sequence[str] = ("rephrase", "extend"),
    goals: int = 300,
    drafts: int = 6,
    probes: int = 4,
    holdout: float = 0.3,
    likeness: str = "embedding",
    training: Mapping[str, Any] | None = None,
    critic: Mapping[str, Any] | None = None,
    pool: Mapping[str, Any] | None = None,
    seeds: int = 3,
    first_seed: int = 0,
    out: str | Path | None = None,
) -> AttackerBench:
    """Measure; keeps each repeat's run folder under `out` when given.

    learner: folder of the frozen learner's adapter, None: the base model; goals: harmful goals in all; probes: attacks
    on each held-out goal; seeds: repeats; training, critic, pool: as `attacker_training`, `critic`, `pool` of a recipe.
    """
    recipe = Recipe.model_validate(
        {"name": "bench", "rounds": 1, "model": model,
         "attacker": {"seeds": list(files), "mix": dict.fromkeys(strategies, 1.0),
                      "training": {"holdout": holdout, "probes": probes, "likeness": likeness, "min_examples": 1}},
         "learner": {"num_answers": 1, "temperature": 0.0, "max_tokens": 24, "revise_below": 0.0},
         "attacker_training": {"method": "sft_then_dpo", **(training or {})},
         "critic": critic or {"type": "probe"}, "judge": {"type": "rules", "trust_intent": False},
         "pool": pool or {"type": "auto"},
         "evaluation": {"suites": ["harmful", "ordinary"], "limit": 1}}
    )  # fmt: skip
    name = Path(learner).name if learner else "base"
    adapter = str(Path(learner).resolve()) if learner else None
    frozen = Checkpoint(id=name, base=model, adapter=adapter)
    repeats: list[AttackerRepeat] = []
    gains: defaultdict[str, list[float]] = defaultdict(list)
    rises: defaultdict[str, list[float]] = defaultdict(list)
    sizes = (0, 0)
    with tempfile.TemporaryDirectory(prefix="superalign-bench-") as temporary:
        for seed in range(first_seed, first_seed + seeds):
            path = Path(out or temporary) / f"seed-{seed}"
            drawn = recipe.model_copy(update={"seed": seed})
            asked = drawn.model_dump(mode="json") | {"bench": {"learner": adapter, "goals": goals, "drafts": drafts}}
            with _folder(path, asked) as folder:
                folder.require_same(asked)
                repeat, before, after, sizes = await _repeat(drawn, folder, frozen, goals, drafts)
            repeats.append(repeat)
            if before is not None and after is not None:
                _add(gains, before.goals, after.goals)
                _add(rises, before.bleu, after.bleu)
    gain, low, high = _mean(gains)
    rise, least, most = _mean(rises)
    return AttackerBench(
        model=model,
        learner=name,
        training_goals=sizes[0],
        held_out_goals=sizes[1],
        drafts=drafts,
        repeats=tuple(repeats),
        gain=gain,
        gain_low=low,
        gain_high=high,
        self_bleu_rise=rise,
        self_bleu_low=least,
        self_bleu_high=most,
    )


def _folder(path: Path, resolved: dict[str, Any]) -> RunFolder:
    return RunFolder.open(path) if path.exists() else RunFolder.create(path, "name: bench\n", resolved)


def _add(to: defaultdict[str, list[float]], before: Mapping[str, float], after: Mapping[str, float]) -> None:
    for goal in sorted(before.keys() & after.keys()):
        to[goal].append(after[goal] - before[goal])


def _mean(differences: Mapping[str, Sequence[float]]) -> Bounds:
    return paired_mean([sum(had) / len(had) for had in differences.values()])


async def _repeat(
    recipe: Recipe, folder: RunFolder, frozen: Checkpoint, goals: int, drafts: int
) -> tuple[AttackerRepeat, AttackerFigures | None, AttackerFigures | None, tuple[int, int]]:
    """The repeat, the figures of incumbent and candidate, and how many goals were trained on and held out."""
    started, round_folder, observer = time.monotonic(), folder.round(1), Teller("attacker")
    async with build.staged(recipe, Path.cwd(), folder, observer) as plan:
        assert plan.attacker is not None
        chosen = plan.attacker.goals[:goals]  # the same for every seed, so that repeats differ in their draws only
        trained_on = [seed for seed in chosen if not held_out(seed.id, plan.attacker.options.holdout)]
        rollouts = [Rollout(round=1, seed=seed, index=index) for index in range(drafts) for seed in trained_on]
        plan.rollouts, plan.attacker = lambda _: rollouts, replace(plan.attacker, goals=chosen)
        loop = Loop(plan, folder, observer)
        assert loop.attacker is not None
        try:
            await loop.attack(round_folder, frozen)
            decision = await loop.attacker.learn(round_folder, lambda: plan.pool.serve(frozen))
        finally:
            loop.events.close()
        figures = await loop.attacker.figures(round_folder) if round_folder.attacker_probe.exists() else {}
    before, after = figures.get("incumbent"), figures.get("candidate")
    repeat = AttackerRepeat(
        seed=recipe.seed,
        demonstrations=len(Stored(round_folder.attacker_demonstrations, Demonstration)),
        pairs=len(Stored(round_folder.attacker_pairs, PreferencePair)),
        before=_side(before),
        after=_side(after),
        promoted=decision.promoted,
        decision=decision.reason,
        seconds=time.monotonic() - started,
    )
    return repeat, before, after, (len(trained_on), len(chosen) - len(trained_on))


def _side(figures: AttackerFigures | None) -> AttackerSide | None:
    if figures is None:
        return None
    return AttackerSide(
        success=figures.success,
        valid=figures.valid / max(1, figures.walks),
        invalid=figures.invalid / max(1, figures.walks),
        self_bleu=figures.self_bleu,
        similarity=figures.similarity,
    )
