"""Expert examples: a few dozen exchanges written by people, the seed crystal of the loop."""

from __future__ import annotations

from pathlib import Path

from pydantic import field_validator

from superalign.files.tables import Layout, read_table, record_of
from superalign.files.yaml_lines import Faults
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

    @field_validator("hazard", mode="before")
    @classmethod
    def _none_if_empty(cls, hazard: object) -> object:
        """An empty cell of a CSV file."""
        return None if hazard == "" else hazard

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


def load_experts(path: Path) -> tuple[ExpertExample, ...]:
    """Read a table of expert examples; raises PromptFileError with every fault's file and line."""
    faults, examples = Faults(), dict[str, ExpertExample]()
    for row in read_table(path, faults, Layout("demonstrations", beside=())).rows:
        example = record_of(ExpertExample, row, path, faults)
        if example is None:
            continue
        if examples.setdefault(example.id, example) is not example:
            faults.add(path, row.line, f"demonstration {example.id} is given twice", "give it another id")
        if not example.prompt.strip() or not example.reply.strip():
            faults.add(path, row.line, f"demonstration {example.id} is empty", "write both prompt and reply")
    faults.raise_if_any()
    return tuple(examples.values())
