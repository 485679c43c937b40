"""What there is to label in a run: the queue of every round, read from the run folder whenever it has grown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from superalign.pairing.training_examples import PairingOptions
from superalign.records.evaluation import ItemResult
from superalign.records.exchange import Exchange
from superalign.review.label_value import QueueItem, plain_words, rank
from superalign.review.labels import Item, Standing
from superalign.review.options import ReviewOptions
from superalign.store.journal import read_records
from superalign.store.round_folder import ROUNDS, RoundFolder
from superalign.store.run_folder import RunFolder

State = tuple[tuple[int, int], ...]
"""Size and time of files, by which a change is noticed."""


@dataclass(frozen=True)
class RoundBoard:
    """One round's items, those that are labelled first where the loop has not fixed the queue."""

    number: int
    items: tuple[Item, ...]
    exchanges: dict[str, Exchange]
    """Those of the items."""
    reasons: dict[Item, QueueItem]
    """Why an item is asked about; those that were labelled unasked have none."""


class Board:
    """The rounds of a run; read again when their files have changed, and never what is held out."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        fields: dict[str, Any] = folder.resolved
        self.name = str(fields.get("name", folder.path.name))
        self.options = ReviewOptions.model_validate(fields.get("review", {}))
        self.pairing = PairingOptions.model_validate(fields.get("pairing", {}))
        self._rounds: dict[int, tuple[State, frozenset[Item], RoundBoard]] = {}

    def rounds(self, labels: Standing) -> list[RoundBoard]:
        """Every round that has exchanges, the first one first."""
        numbers = sorted(int(p.name) for p in (self.folder.path / ROUNDS).glob("[0-9]*") if int(p.name) > 0)
        return [self._round(number, labels) for number in numbers if self._room(number).exchanges.exists()]

    def exchanges(self) -> Iterator[Exchange]:
        """Every exchange of every round that may be labelled."""
        for path in sorted((self.folder.path / ROUNDS).glob("[0-9]*")):
            for exchange in read_records(self._room(int(path.name)).exchanges, Exchange):
                if not exchange.attack.setup:
                    yield exchange

    def _room(self, number: int) -> RoundFolder:
        return RoundFolder(self.folder.path, number)

    def _round(self, number: int, labels: Standing) -> RoundBoard:
        round_folder = self._room(number)
        state = _state(round_folder.exchanges, round_folder.queue)
        mine = frozenset(item for item in labels if item[0].startswith(f"r{number:03d}/"))
        known = self._rounds.get(number)
        if known is None or known[0] != state or known[1] != mine:
            known = (state, mine, self._read(round_folder, mine))
            self._rounds[number] = known
        return known[2]

    def _read(self, round_folder: RoundFolder, labelled: frozenset[Item]) -> RoundBoard:
        if round_folder.queue.exists():
            queue = list(read_records(round_folder.queue, QueueItem))
        else:
            exchanges = read_records(round_folder.exchanges, Exchange)
            queue = rank(exchanges, self.options.per_round, self.pairing, held_out=held_out_prompts(self.folder))
        reasons = {(entry.exchange, entry.answer): entry for entry in queue}
        unasked = sorted(labelled - reasons.keys())
        if round_folder.queue.exists():
            items = [*reasons, *unasked]
        else:  # the queue still shifts, so what is labelled has spent some of the budget
            done = [*unasked, *(item for item in reasons if item in labelled)]
            items = [*done, *(item for item in reasons if item not in labelled)][
                : max(self.options.per_round, len(done))
            ]
        wanted = {exchange for exchange, _ in items}
        found = {e.id: e for e in read_records(round_folder.exchanges, Exchange) if e.id in wanted}
        there = tuple(item for item in items if item[0] in found and item[1] < len(found[item[0]].answers))
        return RoundBoard(round_folder.number, there, found, reasons)


def held_out_prompts(folder: RunFolder) -> frozenset[str]:
    """The prompts that this run is measured on, as `plain_words` gives them."""
    items = read_records(RoundFolder(folder.path, 0).evaluation_items, ItemResult)
    return frozenset(
        plain_words(message.content) for item in items for message in item.prompt if message.role == "user"
    )


def _state(*paths: Path) -> State:
    stats = [path.stat() if path.exists() else None for path in paths]
    return tuple((stat.st_size, stat.st_mtime_ns) if stat else (-1, -1) for stat in stats)
