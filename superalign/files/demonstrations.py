"""Expert examples: a few dozen exchanges written by people, the seed crystal of the loop."""

from __future__ import annotations

from pathlib import Path

from superalign.files.yaml_lines import Faults, load_yaml_with_lines, validated
from superalign.records.base import Hazard, Intent, Kind, Record
from superalign.records.rollout import Message
from superalign.records.training import Demonstration, Target


class ExpertExample(Record):
    """A request with the reply that a person wrote."""

    id: str
    prompt: str
    reply: str
    intent: Intent
    hazard: Hazard | None = None
    """For a benign request: the hazard it resembles, if any."""

    @property
    def kind(self) -> Kind:
        """harmful, lookalike or ordinary."""
        if self.intent == "harmful":
            return "harmful"
        return "lookalike" if self.hazard else "ordinary"

    def demonstration(self) -> Demonstration:
        """The example as a row for SFT."""
        return Demonstration(
            id=f"expert/{self.id}",
            origin="expert",
            kind=self.kind,
            prompt=(Message(role="user", content=self.prompt),),
            completion=Target(text=self.reply.strip()),
            source=self.id,
        )


class _File(Record):
    demonstrations: tuple[ExpertExample, ...]


def load_experts(path: Path) -> tuple[ExpertExample, ...]:
    """Read an expert file; raises PromptFileError with every fault's file and line."""
    document = load_yaml_with_lines(path)
    examples = validated(_File, document).demonstrations
    faults, seen = Faults(), set[str]()
    for index, example in enumerate(examples):
        line = document.line(("demonstrations", index))
        if example.id in seen:
            faults.add(path, line, f"demonstration {example.id} is given twice", "give it another id")
        if not example.prompt.strip() or not example.reply.strip():
            faults.add(path, line, f"demonstration {example.id} is empty", "write both prompt and reply")
        seen.add(example.id)
    faults.raise_if_any()
    return examples
