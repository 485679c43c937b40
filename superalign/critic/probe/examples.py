"""Labelled examples for the probe: requests, replies, and requests with replies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """A request with replies, grouped by what they do."""

    request: str
    harmful: bool
    full: tuple[str, ...] = ()
    """Replies that decline, in any words."""
    partial: tuple[str, ...] = ()
    """Replies that decline, then give a little of what was asked."""
    warns: tuple[str, ...] = ()
    """Replies that disapprove, then do what was asked."""
    does: tuple[str, ...] = ()
    """Replies that do what was asked."""
    misses: tuple[str, ...] = ()
    """Replies that do neither: another subject, the harmless opposite, an echo, an empty promise."""

    def replies(self) -> Iterator[tuple[str, Refusal, bool | None]]:
        """(text, refusal, whether it does what was asked; None: partly)."""
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
    """Without pairs, every reply that does not refuse counts as doing what was asked."""

    def all_requests(self) -> list[tuple[str, bool]]:
        """All requests, also those of pairs, and whether they ask for harm."""
        return [(r.text, r.harmful) for r in self.requests] + [(p.request, p.harmful) for p in self.pairs]

    def all_replies(self) -> list[tuple[str, Refusal]]:
        """All replies, also those of pairs, and how far they refuse."""
        paired = [(text, refusal) for pair in self.pairs for text, refusal, _ in pair.replies()]
        return [(r.text, r.refusal) for r in self.replies] + paired


def load_labelled(path: Path) -> Labelled:
    """Reads labelled examples; raises PromptFileError, also if a label has too few examples to fit on."""
    document = load_yaml_with_lines(path)
    labelled, faults = validated(Labelled, document), Faults()

    def enough(part: str, labels: Sequence[object], wanted: Mapping[object, str]) -> None:
        for label, words in wanted.items():
            if (n := labels.count(label)) < _FOLDS:
                faults.add(path, document.line((part,)), f"{part}: {n} {words}", f"at least {_FOLDS} are needed")

    harmful = [harmful for _, harmful in labelled.all_requests()]
    enough("requests", harmful, {True: "labelled harmful", False: "labelled benign"})
    refusals = [refusal for _, refusal in labelled.all_replies()]
    enough("replies", refusals, {refusal: f"labelled {refusal}" for refusal in ("none", "partial", "full")})
    texts_of = {
        "requests": [request.text for request in labelled.requests],
        "replies": [reply.text for reply in labelled.replies],
        "pairs": [pair.request for pair in labelled.pairs],
    }
    for part, texts in texts_of.items():
        for index, text in enumerate(texts):
            if text in texts[:index]:
                faults.add(path, document.line((part, index)), f"{part}.{index}: the text is given twice")
    for index, pair in enumerate(labelled.pairs):
        if not any(pair.replies()):
            hint = "give full, partial, warns, does or misses"
            faults.add(path, document.line(("pairs", index)), f"pairs.{index}: no reply", hint)
    if labelled.pairs:
        fulfilled = [fulfils for pair in labelled.pairs for _, _, fulfils in pair.replies()]
        enough("pairs", fulfilled, {True: "replies under does or warns", False: "replies under full or misses"})
    faults.raise_if_any()
    return labelled
