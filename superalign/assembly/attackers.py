"""Recipe -> the attacker of a round and, where it is trained, how: as plan.py does for the other roles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from superalign.analysis.attacks.records import AttackReport
from superalign.analysis.attacks.report import attack_report
from superalign.analysis.failure_clusters import Covered, FailureReport, failure_report
from superalign.analysis.run_hazards import hazards_of
from superalign.attacker.attacker import Leak, NearDuplicate, SearchingAttacker, Unfit, same_words
from superalign.attacker.evolve import Breeder
from superalign.attacker.history import Memory, State, remembered
from superalign.attacker.options import AttackerOptions
from superalign.attacker.strategies.chain import PromptStrategy, elements_of
from superalign.attacker.strategies.writer import Heat, PoolWriter
from superalign.attacker.training_data import word_vectors
from superalign.config.inputs import Inputs
from superalign.config.recipe import Recipe
from superalign.errors import RecipeError
from superalign.loop.phases.attacker import AttackerPlan, ServedAttacker
from superalign.loop.rollout import Roles
from superalign.models.embedder import Embedder, Vectors
from superalign.models.packaged import resolve as resolve_model
from superalign.protocols import Attacker, InferencePool
from superalign.records.exchange import Exchange
from superalign.records.rollout import Seed
from superalign.records.training import Checkpoint
from superalign.seeding import derive_seed
from superalign.stats.text_diversity import attack_text
from superalign.store.journal import read_records
from superalign.store.round_folder import RoundFolder
from superalign.store.run_folder import RunFolder
from superalign.training.launcher import ChildTrainer, Progress
from superalign.training.options import TrainingOptions


@dataclass(frozen=True)
class Attackers:
    """Makes the attackers of a run."""

    recipe: Recipe
    inputs: Inputs
    base_dir: Path
    """Folder of the recipe."""
    folder: RunFolder
    pool: InferencePool
    """The attacker's engine."""
    embedder: Callable[[], Embedder]
    embed: Callable[[Sequence[str]], Vectors] | None
    """For figures: None where no role needs the embedder, which is then not loaded for them alone."""

    def of_round(self, round: int, served: ServedAttacker) -> Attacker:
        """Who attacks in a round with this model, and knows what earlier rounds taught."""
        return self._attacker(round, served, self.recipe.attacker, self._past(round))

    def report(self, round_folder: RoundFolder) -> AttackReport:
        """What the attacks of a round came to."""
        styles = {
            element.name: element.meta.style
            for strategy in self.inputs.strategies.values()
            if isinstance(strategy, PromptStrategy)
            for element in elements_of(strategy)
        }
        earlier = (
            attack_text(exchange.attack)
            for number in range(1, round_folder.number)
            for exchange in read_records(self.folder.round(number).exchanges, Exchange)
        )
        exchanges = read_records(round_folder.exchanges, Exchange)
        return attack_report(exchanges, earlier, self.embed, lambda name: styles.get(name, name))

    def failures(self, round_folder: RoundFolder) -> FailureReport | None:
        """What the learner's failures have in common; None: the run has no embedder."""
        if self.embed is None:
            return None
        hazards = [*self.inputs.hazards, *hazards_of(round_folder, self.folder.path)]
        covered = Covered.by(self.inputs.seeds, hazards, self.embed)
        return failure_report(round_folder.number, read_records(round_folder.exchanges, Exchange), covered, self.embed)

    def plan(self, roles: Callable[[int, str], Roles], progress: Progress) -> AttackerPlan | None:
        """How the attacker is trained; None: it is not.

        roles: (round, served learner) -> who acts in that round.
        """
        recipe, role, options = self.recipe, self.recipe.roles.attacker, self.recipe.attacker.training
        if options is None:
            return None
        mix = self.inputs.written(recipe)

        probes = recipe.attacker.model_copy(update={"mix": mix, "select": "fixed", "max_similarity": None})

        def probing(round: int, learner: str, attacker: ServedAttacker) -> Roles:
            asked = self._attacker(round, attacker, probes, State())
            return replace(roles(round, learner), attacker=asked, revise_below=0.0)

        def options_of(round: int) -> TrainingOptions:
            return recipe.attacker_training

        name = role.model or recipe.model
        adapter = str(Path(role.adapter).resolve()) if role.adapter else None
        return AttackerPlan(
            options=options,
            base=Checkpoint(id=Path(adapter).name if adapter else "base", base=name, adapter=adapter),
            pool=self.pool,
            trainer=ChildTrainer(
                options_of,
                str(resolve_model(name)),
                self.folder.path.resolve(),
                derive_seed(recipe.seed, "attacker"),
                progress,
                role="attacker",
            ),
            goals=[seed for seed in self.inputs.seeds if self._is_goal(seed, mix)],
            attacker=self.of_round,
            roles=probing,
            vectorise=self.embedder().embed if options.likeness == "embedding" else word_vectors,
            max_rollouts=recipe.max_walks,
        )

    def _attacker(self, round: int, served: ServedAttacker, options: AttackerOptions, past: State) -> Attacker:
        hot = options.training if served.trained else None
        heat = Heat(hot.heat, hot.min_p) if hot else Heat()
        writer = PoolWriter(self.pool, served.name, run_seed=self.recipe.seed, tries=options.tries, heat=heat)
        memory = Memory(past, options.generation)
        return SearchingAttacker(
            self.inputs.strategies, options, writer, memory, self._breeder, self._unfit, run_seed=self.recipe.seed
        )

    @cached_property
    def _breeder(self) -> Breeder:
        return Breeder(self.inputs.strategies)

    @cached_property
    def _unfit(self) -> list[Unfit]:
        options = self.recipe.attacker
        unfit: list[Unfit] = [Leak(self.inputs.held_out(self.recipe.evaluation))]
        if options.learns:
            unfit.append(same_words)
        if options.max_similarity is not None:
            unfit.append(NearDuplicate(self.embedder(), options.max_similarity))
        return unfit

    def _past(self, round: int) -> State:
        """What the exchanges of earlier rounds left, and of the runs that the recipe names."""
        options = self.recipe.attacker
        if not options.learns:
            return State()
        rounds: list[tuple[int, Callable[[], Iterable[Exchange]]]] = []
        for name in options.history:
            paths = sorted((self.base_dir / name).glob("rounds/[0-9]*/exchanges.jsonl"))
            if not paths:
                raise RecipeError(f"attacker.history: {name} holds no rounds", "name the folder of an earlier run")
            rounds += [(round - 1, partial(read_records, path, Exchange)) for path in paths]
        for number in range(1, round):
            rounds.append((number, partial(read_records, self.folder.round(number).exchanges, Exchange)))
        return remembered(rounds, round)

    def _is_goal(self, seed: Seed, mix: dict[str, float]) -> bool:
        """Whether a model can write an attack on it."""
        names = mix.keys() if seed.strategy is None else mix.keys() & {seed.strategy}
        writable = any(self.inputs.strategies[name].applies(seed) for name in names)
        return seed.intent == "harmful" and not seed.turns and writable
