"""Whether held-out prompts stand in the training texts too, word for word or nearly."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from superalign.errors import PromptFileError
from superalign.evaluation.items import Suite
from superalign.files.text_filters import plain_words
from superalign.records.base import Rate, Record

_STEMS = """
a an are be best can could do does explain for give how i in is it me my of on please show s some
tell that the there they this to way what whats which would you your
"""
STEMS = frozenset(_STEMS.split())
"""Words that turn a goal ("kill a zombie process") into a question without changing what is asked."""
SHINGLE = 3
MIN_SHINGLES = 4
"""Below this many, a text that holds another says little: "write a short story" stands in many prompts."""

Words = tuple[str, ...]


class KnownText(Record):
    """A text that the loop trains on or that tunes its critic: a seed, an expert's prompt, a labelled example."""

    id: str
    file: str
    text: str


class Overlap(Record):
    """A held-out prompt and the training text it repeats."""

    known: KnownText
    suite: str
    item: str
    file: str
    line: int
    likeness: Rate
    """1: the same words but for case, punctuation and question stems."""


def check_overlap(
    known: Sequence[KnownText], suites: Sequence[Suite], *, near_duplicate: float = 0.6, containment: float = 0.8
) -> None:
    """Raises PromptFileError that names both ids and files of every overlap (the first ten in full)."""
    overlaps = find_overlaps(known, suites, near_duplicate=near_duplicate, containment=containment)
    lines = [
        f"{o.file}:{o.line}: {o.suite}/{o.item} repeats {o.known.id} of {o.known.file} (likeness {o.likeness:.2f})"
        for o in overlaps[:10]
    ]
    more = f"\n... and {len(overlaps) - 10} more" if len(overlaps) > 10 else ""
    if overlaps:
        hint = "a held-out prompt must be new to the learner and its critic: remove one of the two"
        raise PromptFileError("\n".join(lines) + more, hint)


def find_overlaps(
    known: Sequence[KnownText], suites: Sequence[Suite], *, near_duplicate: float = 0.6, containment: float = 0.8
) -> list[Overlap]:
    """For each held-out prompt the training text most like it, where that is too like."""
    index = TextIndex(known, near_duplicate=near_duplicate, containment=containment)
    return [
        Overlap(known=hit[0], suite=suite.name, item=item.id, file=suite.file, line=item.line, likeness=hit[1])
        for suite in suites
        for item in suite.items
        for turn in item.turns
        if (hit := index.like(turn)) is not None
    ]


class TextIndex:
    """Finds the known text that a text repeats.

    Resemblance (Jaccard) and containment of word 3-grams after Broder 1997, "On the resemblance and containment of
    documents", over the words that are left without question stems: "how do I" is alike in every prompt.
    """

    def __init__(self, known: Sequence[KnownText], *, near_duplicate: float = 0.6, containment: float = 0.8) -> None:
        self.known, self.near_duplicate, self.containment = known, near_duplicate, containment
        self._exact: dict[Words, int] = {}
        self._holders: defaultdict[Words, list[int]] = defaultdict(list)
        self._sizes: list[int] = []
        for index, text in enumerate(known):
            words = _words(text.text)
            self._exact.setdefault(words, index)
            shingles = _shingles(words)
            self._sizes.append(len(shingles))
            for shingle in shingles:
                self._holders[shingle].append(index)

    def like(self, text: str) -> tuple[KnownText, float] | None:
        """The known text most like it and how like, 1 being the same words; None: nothing is too like."""
        words = _words(text)
        if words in self._exact:
            return self.known[self._exact[words]], 1.0
        shingles = _shingles(words)
        shared = Counter(index for shingle in shingles for index in self._holders.get(shingle, ()))
        best, likeness = None, 0.0
        for index, count in shared.items():
            smaller, union = min(self._sizes[index], len(shingles)), self._sizes[index] + len(shingles) - count
            inside = count / smaller if smaller >= MIN_SHINGLES else 0.0
            if (count / union >= self.near_duplicate or inside >= self.containment) and count / union > likeness:
                best, likeness = index, count / union
        return None if best is None else (self.known[best], likeness)


def _words(text: str) -> Words:
    words = tuple(plain_words(text.replace("'", "").replace("\u2019", "")).split())
    return tuple(word for word in words if word not in STEMS) or words


def _shingles(words: Words) -> frozenset[Words]:
    return frozenset(words[i : i + SHINGLE] for i in range(max(1, len(words) - SHINGLE + 1)))
