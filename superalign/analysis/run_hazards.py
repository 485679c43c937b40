"""Hazards that people add to a run: `hazards.jsonl` in its folder.

The file grows while rounds are played; those that count in a round are copied to the round's folder, which the hash
chain covers.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pydantic import ValidationError

from superalign.analysis.failure_clusters import FailureCluster
from superalign.errors import RunFolderError
from superalign.records.base import HAZARDS, OwnHazard
from superalign.store.journal import SharedJournal, read_records, write_records
from superalign.store.round_folder import HAZARDS_ADDED, RoundFolder


def hazard_book(run: Path) -> SharedJournal[OwnHazard]:
    """The journal of hazards that people added to a run."""
    return SharedJournal(run / HAZARDS_ADDED, OwnHazard, lambda hazard: hazard.name)


def hazards_of(round_folder: RoundFolder, run: Path) -> list[OwnHazard]:
    """The added hazards that count in a round: those that existed when this was first called for the round."""
    if not round_folder.hazards.exists() and (added := hazard_book(run).read()):
        write_records(round_folder.hazards, added)
    return list(read_records(round_folder.hazards, OwnHazard))


def add_hazard(run: Path, cluster: FailureCluster, name: str, about: str, taken: Collection[str] = ()) -> OwnHazard:
    """Makes a cluster a hazard of the run; repeating the call with the same arguments changes nothing.

    taken: names of the recipe's own hazards. Raises RunFolderError if the name is invalid or taken, or the cluster is
    a hazard already.
    """
    if name in HAZARDS or name in taken:
        whose = "the taxonomy" if name in HAZARDS else "the recipe's file of hazards"
        raise RunFolderError(f"--name {name}: {whose} has a hazard of that name", "take another one")
    try:
        goals = tuple(sorted(failure.goal for failure in cluster.members))
        hazard = OwnHazard(name=name, about=about, goals=goals, cluster=cluster.id)
    except ValidationError:
        hint = "write 2 to 40 small letters, digits and underscores, a letter first"
        raise RunFolderError(f"--name {name!r} can't be a hazard's", hint) from None
    book = hazard_book(run)
    for one in book.read():
        if one.name != name and one.cluster == cluster.id:
            raise RunFolderError(f"{run}: {cluster.id} is the hazard {one.name} already", "name another cluster")
    book.append([hazard])
    stands = next(one for one in book.read() if one.name == name)
    if stands != hazard:
        raise RunFolderError(f"{run}: {name} is a hazard already, made of {stands.cluster}", "take another name")
    return hazard
