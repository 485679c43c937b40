"""The attacker's model at work: sampling, and what a text must be to go on as an attack."""

from __future__ import annotations

import re
from dataclasses import dataclass

from superalign.attacker.strategies.front_matter import StrategyMeta
from superalign.attacker.strategies.protocol import Writer
from superalign.files.text_filters import STOPWORDS
from superalign.protocols import DropError, InferencePool, Sampling
from superalign.records.base import HOTTEST
from superalign.records.rollout import Draft, Messages
from superalign.seeding import derive_seed

MAX_ATTACK_CHARS = 400
_QUOTES = "\"'`“”‘’«»*"
_LABEL = re.compile(
    r"^(?:(?:re)?phrased|rewritten|request|instruction|output|answer|new|extended)[\w ]{0,20}:\s*", re.IGNORECASE
)


@dataclass(frozen=True)
class Heat:
    """How much hotter than a strategy says its texts are sampled."""

    factor: float = 1.0
    """Multiplies the strategy's temperature."""
    min_p: float = 0.0
    """See `Sampling`."""


class PoolWriter:
    """A Writer whose texts a pool's model writes."""

    def __init__(self, pool: InferencePool, model: str, *, run_seed: int, tries: int, heat: Heat = Heat()) -> None:
        """model: a name that the pool serves; tries: how often a text is sampled before it is given up."""
        self.pool, self.model, self.run_seed, self.tries, self.heat = pool, model, run_seed, tries, heat

    async def write(
        self, id: str, prompt: Messages, goal: str, *, max_tokens: int, temperature: float, min_overlap: float
    ) -> Draft:
        """One clean line about the goal; raises DropError with the last try's fault."""
        reason = ""
        for attempt in range(self.tries):
            seed = derive_seed(self.run_seed, id, "attacker", attempt)
            hot = min(HOTTEST, temperature * self.heat.factor)
            sampling = Sampling(temperature=hot, min_p=self.heat.min_p, max_tokens=max_tokens, seed=seed)
            [written] = await self.pool.generate(self.model, prompt, sampling)
            try:
                if not written.complete:
                    raise DropError("the attack was cut at max_tokens")
                return Draft(prompt=prompt, text=clean(written.text, goal, min_overlap))
            except DropError as error:
                reason = str(error)
        raise DropError(f"{reason} ({self.tries} tries)")


async def draft(
    writer: Writer, id: str, name: str, meta: StrategyMeta, prompt: Messages, goal: str, min_overlap: float
) -> Draft:
    """What the writer says by the front matter's sampling; raises DropError that names the strategy."""
    try:
        return await writer.write(
            id, prompt, goal, max_tokens=meta.max_tokens, temperature=meta.temperature, min_overlap=min_overlap
        )
    except DropError as error:
        raise DropError(f"{name}: {error}") from error


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
    goal_stems = _stems(goal)
    return len(goal_stems & _stems(attack)) / len(goal_stems) if goal_stems else 1.0


def _stems(text: str) -> set[str]:
    return {word[:5] for word in re.findall(r"\w{3,}", text.lower()) if word not in STOPWORDS}
