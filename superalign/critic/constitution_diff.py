"""Versions of a constitution: which holds in a round, and what differs between two. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from superalign.critic.checks.options import PatternCheck
from superalign.critic.constitution import Constitution, Principle
from superalign.records.base import FrozenModel, Record


class Version(FrozenModel):
    """A constitution file, and the round from which it holds."""

    file: str
    since: Annotated[int, Field(ge=1)] = 1
    """The first round that is played under it; the base model is measured under the first one."""


class FieldChange(Record):
    """One field of a principle that differs."""

    field: str
    before: Any
    after: Any


class PrincipleChange(Record):
    """One principle that differs."""

    id: str
    kind: Literal["added", "removed", "changed"]
    moved: bool
    """Whether what it asks of a reply differs: by its check where both versions have one, else by text and hazard. A
    principle that only got another weight, other examples or other refusals asks the same."""
    flipped: bool = False
    """Whether it asks for the opposite: what a reply must match, it must not match in the other version."""
    fields: tuple[FieldChange, ...] = ()


class Difference(Record):
    """What differs from one version to another."""

    before: str
    """Its version."""
    after: str
    principles: tuple[PrincipleChange, ...]
    """In the order of the later version, removed ones last."""
    variants: tuple[str, ...] = ()
    """Names of variants that were added, removed or changed."""

    @property
    def moved(self) -> frozenset[str]:
        """Ids of principles in the later version that ask for something else, or are new."""
        return frozenset(change.id for change in self.principles if change.moved and change.kind != "removed")


def difference(before: Constitution, after: Constitution) -> Difference:
    """Principles that were added, removed and changed, field by field; variants by name only."""
    old = {principle.id: principle for principle in before.principles}
    new = {principle.id: principle for principle in after.principles}
    changes = [
        _changed(old[id], principle) if id in old else PrincipleChange(id=id, kind="added", moved=True)
        for id, principle in new.items()
        if old.get(id) != principle
    ]
    changes += [PrincipleChange(id=id, kind="removed", moved=True) for id in old if id not in new]
    variants = [{variant.name: variant for variant in one.variants} for one in (before, after)]
    names = [name for name in variants[0] | variants[1] if variants[0].get(name) != variants[1].get(name)]
    return Difference(
        before=before.version, after=after.version, principles=tuple(changes), variants=tuple(sorted(names))
    )


def _changed(old: Principle, new: Principle) -> PrincipleChange:
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    fields = [FieldChange(field=f, before=before[f], after=after[f]) for f in after if before[f] != after[f]]
    return PrincipleChange(
        id=new.id, kind="changed", moved=_asks(old, new) != _asks(new, old), flipped=_flipped(old, new),
        fields=tuple(fields),
    )  # fmt: skip


def _asks(principle: Principle, other: Principle) -> Any:
    """What a principle asks of a reply, as far as that can be held against the other's."""
    if principle.check is not None and other.check is not None:
        return principle.check.model_dump(exclude={"mend"})
    return principle.text, principle.hazard


def _flipped(old: Principle, new: Principle) -> bool:
    a, b = old.check, new.check
    if not isinstance(a, PatternCheck) or not isinstance(b, PatternCheck):
        return False
    return (a.must, a.must_not) == (b.must_not, b.must) and (a.only, a.tags) == (b.only, b.tags)
