"""TemplateAttacker: a seed's goal through a strategy file, rendered directly or written by an LLM."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

from superalign.attacker.strategies import Strategy
from superalign.protocols import DropError, InferencePool, Sampling
from superalign.records import Attack, Exchange, Message, Messages, Seed, Walk
from superalign.seeding import derive_seed

MAX_ATTACK_CHARS = 400
_QUOTES = "\"'`“”‘’«»*"
_LABEL = re.compile(
    r"^(?:(?:re)?phrased|rewritten|request|instruction|output|answer|new|extended)[\w ]{0,20}:\s*", re.IGNORECASE
)
_STOPWORDS = frozenset(
    "the and for with that this from into onto about your you are was can could would should how what which who "
    "when where why not but all any some his her its their our they them without have has had will make get use "
    "using one".split()
)


class TemplateAttacker:
    """Attacks of one round; equal arguments give equal attacks, whatever else runs meanwhile."""

    def __init__(
        self,
        pool: InferencePool,
        model: str,
        strategies: Mapping[str, Strategy],
        *,
        run_seed: int,
        round: int,
        mix: Mapping[str, float] | None = None,
        tries: int = 2,
    ) -> None:
        self.pool, self.model, self.strategies = pool, model, strategies
        self.run_seed, self.round, self.tries = run_seed, round, tries
        self.mix = dict(mix) if mix else {name: 1.0 for name, s in strategies.items() if s.meta.mode == "render"}

    async def attack(self, walk: Walk, history: Sequence[Exchange]) -> Attack | None:
        """One attack a walk; raises DropError when there is none."""
        if history:
            return None
        seed, id = walk.seed, walk.id
        strategy = self.choose(seed, walk.index)
        messages = strategy.template.messages(goal=seed.goal)
        if strategy.meta.mode == "write":
            messages = (Message(role="user", content=await self._write(id, seed, strategy, messages)),)
        return Attack(
            id=id, seed=seed, strategy=strategy.name, strategy_sha256=strategy.template.sha256, messages=messages
        )

    def over(self, walk: Walk, history: Sequence[Exchange]) -> None:
        """Nothing is learned from it."""

    def choose(self, seed: Seed, index: int) -> Strategy:
        """By weight and without repeats until all that apply were used (Efraimidis and Spirakis 2006, A-Res)."""
        rng = random.Random(derive_seed(self.run_seed, self.round, seed.id, "strategy", index // max(1, len(self.mix))))
        usable = [n for n in sorted(self.mix) if self.mix[n] > 0 and self.strategies[n].applies(seed)]
        if not usable:
            raise DropError(f"no strategy of the mix applies to {seed.kind} seed {seed.id}")
        order = sorted(usable, key=lambda name: rng.random() ** (1 / self.mix[name]), reverse=True)
        return self.strategies[order[index % len(order)]]

    async def _write(self, id: str, seed: Seed, strategy: Strategy, messages: Messages) -> str:
        reason = ""
        for attempt in range(self.tries):
            sampling = Sampling(
                temperature=strategy.meta.temperature,
                max_tokens=strategy.meta.max_tokens,
                seed=derive_seed(self.run_seed, id, "attacker", attempt),
            )
            written = (await self.pool.generate(self.model, messages, sampling))[0]
            try:
                if not written.complete:
                    raise DropError("the attack was cut at max_tokens")
                return clean(written.text, seed.goal, strategy.meta.min_overlap)
            except DropError as error:
                reason = str(error)
        raise DropError(f"{strategy.name}: {reason} ({self.tries} tries)")


def clean(text: str, goal: str, min_overlap: float) -> str:
    """The attack in what an LLM wrote; raises DropError unless it is one short line about the goal."""
    attack = _LABEL.sub("", text.strip().strip(_QUOTES).strip()).strip().strip(_QUOTES).strip()
    if not attack:
        raise DropError("the attack is empty")
    if "\n" in attack:
        raise DropError("the attack has more than one line")
    if len(attack) > MAX_ATTACK_CHARS:
        raise DropError(f"the attack has {len(attack)} characters, over {MAX_ATTACK_CHARS}")
    share = overlap(goal, attack)
    if share < min_overlap:
        raise DropError(f"the attack holds {share:.0%} of the goal's words, under {min_overlap:.0%}")
    return attack


def overlap(goal: str, attack: str) -> float:
    """Share of the goal's content words, cut to five letters for the sake of endings, that stand in the attack."""
    wanted, given = _stems(goal), _stems(attack)
    return len(wanted & given) / len(wanted) if wanted else 1.0


def _stems(text: str) -> set[str]:
    return {word[:5] for word in re.findall(r"\w{3,}", text.lower()) if word not in _STOPWORDS}
