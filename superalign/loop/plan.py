"""What the loop needs to play a run: options, inputs, and who acts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from superalign.analysis.attacks.records import AttackReport
from superalign.config.inputs import Inputs
from superalign.config.recipe import Recipe
from superalign.critic.constitution import Constitution
from superalign.evaluation.items import Suite
from superalign.loop.phases.attacker import AttackerPlan
from superalign.loop.rollout import Roles
from superalign.models.embedder import Vectors
from superalign.protocols import Critic, Evaluator, InferencePool, Trainer
from superalign.records.rollout import Rollout
from superalign.records.training import Checkpoint
from superalign.review.labels import ProbeExample
from superalign.store.round_folder import RoundFolder


class Plan(Protocol):
    """A run with everything concrete built; `superalign.assembly` makes it from a recipe.

    Its state can be read at any time: `critic` is who judges now.
    """

    recipe: Recipe
    inputs: Inputs
    base: Checkpoint
    pool: InferencePool
    """The learner's engine."""
    trainer: Trainer
    attacker: AttackerPlan | None
    """How the attacker is trained; None: it is not."""

    @property
    def evaluator(self) -> Evaluator:
        """Measures on the recipe's suites."""
        ...

    def evaluator_over(self, suites: Sequence[Suite], besides: bool) -> Evaluator:
        """Measures on other suites; besides: on the recipe's as well."""
        ...

    @property
    def critic(self) -> Critic:
        """Judges exchanges now; labels and a new constitution replace it."""
        ...

    @property
    def critic_cost(self) -> str:
        """Type of the critic if each verdict costs a model call, else empty."""
        ...

    @property
    def embed(self) -> Callable[[Sequence[str]], Vectors] | None:
        """Sentence embeddings, (num_texts, dim); None where no role has loaded an embedder."""
        ...

    def rollouts(self, round: int, /) -> Sequence[Rollout]:
        """What a round plays."""
        ...

    def roles(self, round: int, learner: str) -> Roles:
        """Who acts in a round; learner: the name under which the pool serves it."""
        ...

    async def teach(self, labels: Sequence[ProbeExample]) -> None:
        """Let the critic learn from people's labels, where it can."""
        ...

    async def switch(self, constitution: Constitution) -> None:
        """Let critic and judge decide by another version of the constitution."""
        ...

    async def value_judge(self, constitution: Constitution) -> Critic:
        """Who says whether a reply keeps a principle of this version."""
        ...

    def report(self, round_folder: RoundFolder) -> AttackReport:
        """What the attacks of a round came to; writes the round's `failures.json` where failures are clustered."""
        ...
