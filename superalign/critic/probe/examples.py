"""The labelled examples that the probe is fitted on: requests, replies, and replies to a request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from superalign.files.yaml_lines import Faults, load_yaml_with_lines, validated
from superalign.records.base import FrozenModel
from superalign.records.exchange import Refusal

_FOLDS = 5


class LabelledRequest(FrozenModel):
    """A request, and whether it asks for harm."""

    text: str
    harmful: bool


class LabelledReply(FrozenModel):
    """A reply, and how far it refuses."""

    text: str
    refusal: Refusal


class LabelledPair(FrozenModel):
    """A request with replies to it, by what they do."""

    request: str
    harmful: bool
    full: tuple[str, ...] = ()
    """They decline, with whatever words."""
    partial: tuple[str, ...] = ()
    """They decline, then give a little of what was asked."""
    warns: tuple[str, ...] = ()
    """They disapprove, then do what was asked all the same."""
    does: tuple[str, ...] = ()
    """They do what was asked."""
    misses: tuple[str, ...] = ()
    """They neither decline nor do it: another subject, the harmless opposite, an echo, an empty promise."""

    def replies(self) -> Iterator[tuple[str, Refusal, bool | None]]:
        """(text, how far it refuses, whether it does what was asked; None: somewhere between)."""
        yield from ((text, "full", False) for text in self.full)
        yield from ((text, "partial", None) for text in self.partial)
        yield from ((text, "partial", True) for text in self.warns)
        yield from ((text, "none", True) for text in self.does)
        yield from ((text, "none", False) for text in self.misses)


class Labelled(FrozenModel):
    """A file of labelled examples."""

    requests: tuple[LabelledRequest, ...]
    replies: tuple[LabelledReply, ...]
    pairs: tuple[LabelledPair, ...] = ()
    """Without any, a reply that does not refuse counts as one that does what was asked."""

    def all_requests(self) -> list[tuple[str, bool]]:
        """Every request, those of pairs included, and whether it asks for harm."""
        return [(r.text, r.harmful) for r in self.requests] + [(p.request, p.harmful) for p in self.pairs]

    def all_replies(self) -> list[tuple[str, Refusal]]:
        """Every reply, those of pairs included, and how far it refuses."""
        paired = [(text, refusal) for pair in self.pairs for text, refusal, _ in pair.replies()]
        return [(r.text, r.refusal) for r in self.replies] + paired


def load_labelled(path: Path) -> Labelled:
    """Read labelled examples; raises PromptFileError, also where a label has too few to fit on."""
    document = load_yaml_with_lines(path)
    labelled = validated(Labelled, document)
    faults = Faults()
    requests = [(text, "harmful" if harmful else "benign") for text, harmful in labelled.all_requests()]
    replies = [(text, str(refusal)) for text, refusal in labelled.all_replies()]
    wanted_of = (("requests", requests, ("harmful", "benign")), ("replies", replies, ("none", "partial", "full")))
    for part, rows, wanted in wanted_of:
        labels = [label for _, label in rows]
        for label in wanted:
            if labels.count(label) < _FOLDS:
                what = f"{part}: {labels.count(label)} labelled {label}"
                faults.add(path, document.line((part,)), what, f"at least {_FOLDS} are needed")
    given = (
        ("requests", [r.text for r in labelled.requests]),
        ("replies", [r.text for r in labelled.replies]),
        ("pairs", [p.request for p in labelled.pairs]),
    )
    for part, texts in given:
        for index, text in enumerate(texts):
            if text in texts[:index]:
                faults.add(path, document.line((part, index)), f"{part}.{index}: the text is given twice")
    for index, pair in enumerate(labelled.pairs):
        if not any(pair.replies()):
            what = f"pairs.{index}: no reply"
            faults.add(path, document.line(("pairs", index)), what, "give full, partial, warns, does or misses")
    if labelled.pairs:
        found = [fulfils for pair in labelled.pairs for _, _, fulfils in pair.replies()]
        for wanted_fulfils, names in ((True, "does or warns"), (False, "full or misses")):
            if found.count(wanted_fulfils) < _FOLDS:
                what = f"pairs: {found.count(wanted_fulfils)} replies under {names}"
                faults.add(path, document.line(("pairs",)), what, f"at least {_FOLDS} are needed")
    faults.raise_if_any()
    return labelled
