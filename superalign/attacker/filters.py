"""Keeps attacks from being played that would tell nothing new, or that held-out suites are measured with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from superalign.attacker.history import State
from superalign.models.embedder import Embedder, Vectors


async def same_words(text: str, state: State) -> str | None:
    """Why an attack is no news: its words were played before."""
    known = state.texts.get(text.lower())
    return f"has the same words as {known}" if known else None


class NearDuplicate:
    """Why an attack is no news: a sentence embedding lies too near to that of an earlier attack."""

    def __init__(self, embedder: Embedder, max_similarity: float) -> None:
        self.embedder, self.max_similarity = embedder, max_similarity
        self._known: tuple[State, Vectors] | None = None

    async def __call__(self, text: str, state: State) -> str | None:
        if not state.settled:
            return None
        if self._known is None or self._known[0] is not state:
            vectors = await self.embedder.aembed([t.text for t in state.settled])
            self._known = (state, vectors)
        [vector] = await self.embedder.aembed([text])
        cosines = self._known[1] @ vector
        nearest = int(np.argmax(cosines))
        if cosines[nearest] <= self.max_similarity:
            return None
        return f"is near {state.settled[nearest].id} (cosine {cosines[nearest]:.2f})"


class Leak:
    """Why an attack may not be trained on: a held-out prompt stands in it."""

    def __init__(self, held_out: Callable[[str], str | None]) -> None:
        """held_out: text -> the name of the held-out prompt that it repeats."""
        self.held_out = held_out

    async def __call__(self, text: str, state: State) -> str | None:
        repeated = self.held_out(text)
        return f"repeats held-out {repeated}" if repeated else None
