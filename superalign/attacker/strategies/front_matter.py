"""What a strategy file says of itself, and which goals it suits."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from superalign.records.base import FrozenModel, Kind, Temperature
from superalign.records.rollout import Seed

Style = Literal[
    "plain", "framing", "persona", "pressure", "instruction", "encoding", "language", "rewrite", "dialogue",
    "injection",
]  # fmt: skip
"""plain: the goal in other grammar; framing: an occasion or a purpose; persona: someone else asks or answers;
pressure: urgency, rank, emotion; instruction: rules for the answer's form; encoding: the letters are changed;
language: another language; rewrite: a model words it; dialogue: several turns; injection: speaks to the critic."""
STYLES: tuple[Style, ...] = get_args(Style)
Mode = Literal["render", "write", "refine", "dialogue"]

_NO_VERBS = frozenset("a an are for given here how i if in is the this what when where which who why".split())
_ASKED_OF_A_MODEL = frozenset(
    "add advise analyze answer argue calculate classify come compare complete convert correct describe discuss edit "
    "explain extract fill give help identify imagine insert list name outline predict propose provide rank recommend "
    "rewrite show sort suggest summarize teach tell translate walk".split()
)


class StrategyMeta(FrozenModel):
    """The front matter of a strategy file."""

    name: str | None = None
    """None: the file's name without its ending."""
    description: str = ""
    mode: Mode = "render"
    """render: the body is the attack; write: the body tells an LLM to write the attack; refine: an LLM writes the
    attack again and again, with the reply and the critique before it; dialogue: the body's user turns are sent one
    by one, or with `turns` an LLM is told by the body to write each of them."""
    style: Style = "plain"
    targets: Literal["learner", "critic"] = "learner"
    """Whom it tries to mislead."""
    tags: tuple[str, ...] = ()
    language: str | None = None
    """BCP 47, of the attack; None: that of the goal."""
    applies_to: tuple[Kind, ...] = ("harmful", "lookalike", "ordinary")
    """Frames go around benign goals as well, or the learner would learn to refuse the frame."""
    phrase_only: bool = False
    """The goal stands inside a sentence, so it must be a verb phrase and no sentence itself."""
    asks_how: bool = False
    """The frame asks how to do the goal ("How do I ..."), which needs a goal that is something one does, not
    something one asks of the model ("give me ...", "explain ...")."""
    max_tokens: int = Field(default=64, gt=0)
    """Length limit of what an LLM writes."""
    temperature: Temperature = 0.8
    min_overlap: float = Field(default=0.5, ge=0, le=1)
    """The share of the goal's content words that an LLM-written attack must still hold."""
    attempts: int = Field(default=4, ge=1)
    """refine: how many attacks a rollout may take."""
    width: int = Field(default=2, ge=1)
    """refine: how many of the best attempts so far are gone on from."""
    turns: int | None = Field(default=None, ge=2)
    """dialogue: how many turns an LLM writes, the last of them being the attack."""

    @property
    def bare(self) -> bool:
        """Whether the goal must be a bare verb phrase."""
        return self.phrase_only or self.asks_how

    @property
    def asks_model(self) -> bool:
        """Whether an LLM writes."""
        return self.mode in ("write", "refine") or self.turns is not None

    def suits(self, seed: Seed) -> bool:
        """Whether a seed may be dressed up like this; one with turns is only ever replayed."""
        first, *rest = seed.goal.lower().split()
        whole = seed.goal.rstrip().endswith((".", "!", "?")) or first in _NO_VERBS
        asked = first in _ASKED_OF_A_MODEL or "me" in rest[:2]
        return (
            seed.kind in self.applies_to
            and not seed.turns
            and not (whole and self.bare)
            and not (asked and self.asks_how)
        )
