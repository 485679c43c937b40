"""What there is to label in a run: the queue of every round, read from the run folder whenever it has grown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from superalign.files.text_filters import plain_words
from superalign.pairing.training_examples import PairingOptions
from superalign.records.evaluation import ItemResult
from superalign.records.exchange import Exchange
from superalign.review.label_value import QueueItem, rank
from superalign.review.labels import Item, Standing
from superalign.review.options import ReviewOptions
from superalign.store.journal import read_records
from superalign.store.round_folder import ROUNDS, RoundFolder
from superalign.store.run_folder import RunFolder

FileState = tuple[tuple[int, int], ...]
"""Size and time of files, by which a change is noticed."""


@dataclass(frozen=True)
class RoundQueue:
    """One round's items, those that are labelled first where the loop has not fixed the queue."""

    number: int
    items: tuple[Item, ...]
    exchanges: dict[str, Exchange]
    """The items' exchanges, by id."""
    reasons: dict[Item, QueueItem]
    """Item -> the reason why it is asked about; items labelled without being asked about have none."""


class RunQueue:
    """The rounds of a run; read again when their files have changed, and never what is held out."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        fields: dict[str, Any] = folder.resolved
        self.name = str(fields.get("name", folder.path.name))
        self.options = ReviewOptions.model_validate(fields.get("review", {}))
        self.pairing = PairingOptions.model_validate(fields.get("pairing", {}))
        self._rounds: dict[int, tuple[FileState, frozenset[Item], RoundQueue]] = {}

    def rounds(self, labels: Standing) -> list[RoundQueue]:
        """Every round that has exchanges, the first one first."""
        return [
            self._round(folder, labels) for folder in self._folders() if folder.number and folder.exchanges.exists()
        ]

    def exchanges(self) -> Iterator[Exchange]:
        """Every exchange of every round that may be labelled."""
        for folder in self._folders():
            for exchange in read_records(folder.exchanges, Exchange):
                if not exchange.attack.setup:
                    yield exchange

    def _folders(self) -> list[RoundFolder]:
        numbers = sorted(int(path.name) for path in (self.folder.path / ROUNDS).glob("[0-9]*"))
        return [RoundFolder(self.folder.path, number) for number in numbers]

    def _round(self, round_folder: RoundFolder, labels: Standing) -> RoundQueue:
        number = round_folder.number
        state = _state(round_folder.exchanges, round_folder.queue)
        labelled = frozenset(item for item in labels if item[0].startswith(f"r{number:03d}/"))
        if number not in self._rounds or self._rounds[number][:2] != (state, labelled):
            self._rounds[number] = (state, labelled, self._read(round_folder, labelled))
        return self._rounds[number][2]

    def _read(self, round_folder: RoundFolder, labelled: frozenset[Item]) -> RoundQueue:
        if round_folder.queue.exists():
            queue = list(read_records(round_folder.queue, QueueItem))
        else:
            played = read_records(round_folder.exchanges, Exchange)
            queue = rank(played, self.options.per_round, self.pairing, held_out=held_out_prompts(self.folder))
        reasons = {(entry.exchange, entry.answer): entry for entry in queue}
        unasked = sorted(labelled - reasons.keys())
        if round_folder.queue.exists():
            items = [*reasons, *unasked]
        else:  # the queue still shifts, so what is labelled has spent some of the budget
            done = [*unasked, *(item for item in reasons if item in labelled)]
            items = [*done, *(item for item in reasons if item not in labelled)][
                : max(self.options.per_round, len(done))
            ]
        ids = {exchange for exchange, _ in items}
        exchanges = {e.id: e for e in read_records(round_folder.exchanges, Exchange) if e.id in ids}
        there = tuple(item for item in items if item[0] in exchanges and item[1] < len(exchanges[item[0]].answers))
        return RoundQueue(round_folder.number, there, exchanges, reasons)


def held_out_prompts(folder: RunFolder) -> frozenset[str]:
    """The prompts that this run is measured on, as `plain_words` gives them."""
    items = read_records(RoundFolder(folder.path, 0).evaluation_items, ItemResult)
    return frozenset(
        plain_words(message.content) for item in items for message in item.prompt if message.role == "user"
    )


def _state(*paths: Path) -> FileState:
    stats = [path.stat() if path.exists() else None for path in paths]
    return tuple((stat.st_size, stat.st_mtime_ns) if stat else (-1, -1) for stat in stats)
