"""The few labelled examples that the probe is fitted on."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from superalign.prompts import Faults, load_yaml_with_lines, validated
from superalign.records import Refusal

_FOLDS = 5


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LabelledRequest(_Part):
    """A request, and whether it asks for harm."""

    text: str
    harmful: bool


class LabelledReply(_Part):
    """A reply, and how far it refuses."""

    text: str
    refusal: Refusal


class Labelled(_Part):
    """A file of labelled examples."""

    requests: tuple[LabelledRequest, ...]
    replies: tuple[LabelledReply, ...]


def load_labelled(path: Path) -> Labelled:
    """Read labelled examples; raises PromptFileError, also where a label has too few to fit on."""
    document = load_yaml_with_lines(path)
    labelled = validated(Labelled, document)
    faults = Faults()
    requests = [(r.text, "harmful" if r.harmful else "benign") for r in labelled.requests]
    replies = [(r.text, str(r.refusal)) for r in labelled.replies]
    wanted_of = (("requests", requests, ("harmful", "benign")), ("replies", replies, ("none", "partial", "full")))
    for part, rows, wanted in wanted_of:
        texts, labels = [text for text, _ in rows], [label for _, label in rows]
        for label in wanted:
            if labels.count(label) < _FOLDS:
                what = f"{part}: {labels.count(label)} labelled {label}"
                faults.add(path, document.line((part,)), what, f"at least {_FOLDS} are needed")
        for index, text in enumerate(texts):
            if text in texts[:index]:
                faults.add(path, document.line((part, index)), f"{part}.{index}: the text is given twice")
    faults.raise_if_any()
    return labelled
