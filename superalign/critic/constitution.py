"""The constitution: principles by hazard with refusals as better answers, and what differs between two versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from superalign.critic.checks.options import PatternCheck, RuleCheck
from superalign.files.yaml_lines import Faults, Loc, Located, load_yaml_with_lines, nearest, validated
from superalign.records.base import FrozenModel, Hazard, Record
from superalign.records.rollout import Seed
from superalign.seeding import derive_seed


class Principle(FrozenModel):
    """One rule of conduct."""

    id: str
    hazard: Hazard | None = None
    """The hazard it guards against; None: it applies to harmless requests."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    text: str
    refusals: tuple[str, ...] = ()
    """Good ways to decline what it forbids."""
    examples: tuple[str, ...] = ()
    """Replies that keep it, one line each; prompts that show the constitution show these, too."""
    counter_examples: tuple[str, ...] = ()
    """Replies that break it although they don't seem to, or only seem to break it: say which."""
    check: RuleCheck | None = None
    """What a program can check of it, under the principle's id; for critics of type `checks`."""

    @model_validator(mode="before")
    @classmethod
    def _check_has_its_id(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("check"), dict):
            return data | {"check": {"kind": "pattern"} | data["check"] | {"id": data.get("id")}}
        return data


class Variant(FrozenModel):
    """How the constitution differs for a region or culture; it applies by a seed's language or tags."""

    name: str
    languages: tuple[str, ...] = ()
    """BCP 47; `pt` includes `pt-BR`, not the reverse."""
    tags: tuple[str, ...] = ()
    principles: tuple[Principle, ...] = ()
    """They replace those with the same id; new ones come before the principles for harmless requests."""
    without: tuple[str, ...] = ()
    """Ids of principles that do not apply there."""

    def applies(self, seed: Seed) -> bool:
        """Whether it names the seed's language or one of its tags."""
        spoken = (seed.language or "").lower()
        languages = (language.lower() for language in self.languages)
        return not set(self.tags).isdisjoint(seed.tags) or any(f"{spoken}-".startswith(f"{one}-") for one in languages)


class Constitution(FrozenModel):
    """A constitution file."""

    version: str
    name: str
    principles: Annotated[tuple[Principle, ...], Field(min_length=1)]
    variants: tuple[Variant, ...] = ()
    """All that apply to a seed are applied, in this order."""

    def applying_to(self, seed: Seed) -> Constitution:
        """The constitution for a seed, with the applicable variants worked into its principles."""
        principles = self.principles
        for variant in self.variants:
            if variant.applies(seed):
                principles = _varied(principles, variant)
        return self if principles is self.principles else self.model_copy(update={"principles": principles})

    def weight(self, id: str) -> float:
        """The weight of a principle; 1 if it is not in the constitution."""
        return next((p.weight for p in self.principles if p.id == id), 1.0)

    def for_hazard(self, hazard: Hazard | None) -> Principle | None:
        """The weightiest principle of a hazard, if there is one."""
        return max((p for p in self.principles if p.hazard == hazard), key=lambda p: p.weight, default=None)

    def needless_refusal(self) -> Principle | None:
        """The principle that a refusal of a harmless request breaks: the last one without a hazard."""
        return next((p for p in reversed(self.principles) if p.hazard is None), None)

    def refusal(self, principle: Principle, key: str) -> str | None:
        """One of the principle's refusals, chosen by the key."""
        refusals = principle.refusals
        return refusals[derive_seed(0, "refusal", key) % len(refusals)] if refusals else None


def _varied(principles: Sequence[Principle], variant: Variant) -> tuple[Principle, ...]:
    replacing = {principle.id: principle for principle in variant.principles}
    kept = [replacing.pop(p.id, p) for p in principles if p.id not in variant.without]
    place = next((n for n, p in enumerate(kept) if p.hazard is None), len(kept))  # the harmless ones stay last
    return (*kept[:place], *replacing.values(), *kept[place:])


def load_constitution(path: Path) -> Constitution:
    """Read a constitution; raises PromptFileError with every fault's file and line."""
    document = load_yaml_with_lines(path)
    constitution = validated(Constitution, document)
    faults = Faults()
    ids = _checked(document, ("principles",), constitution.principles, faults)
    for index, variant in enumerate(constitution.variants):
        place = ("variants", index)
        added = _checked(document, (*place, "principles"), variant.principles, faults)
        line = document.line((*place, "name"))
        if not variant.languages and not variant.tags:
            faults.add(path, line, f"variant {variant.name} never applies", "give it languages or tags")
        for id in variant.without:
            if id not in ids:
                faults.add(path, document.line((*place, "without")), f"no principle {id}", nearest(id, ids))
        if not (ids | added) - set(variant.without):
            faults.add(path, line, f"variant {variant.name} leaves no principle", "keep one")
    faults.raise_if_any()
    return constitution


def _checked(document: Located, place: Loc, principles: Sequence[Principle], faults: Faults) -> set[str]:
    """The ids in a list of principles; records duplicates and hazards without refusals as faults."""
    seen: set[str] = set()
    for index, principle in enumerate(principles):
        line = document.line((*place, index, "id"))
        if principle.id in seen:
            faults.add(document.path, line, f"principle {principle.id} is given twice", nearest(principle.id, seen))
        seen.add(principle.id)
        if principle.hazard and not principle.refusals:
            fault = f"principle {principle.id} has a hazard and no refusals"
            faults.add(document.path, line, fault, "write two or three")
    return seen


class Version(FrozenModel):
    """A constitution file and the first round that is played under it."""

    file: str
    since: Annotated[int, Field(ge=1)] = 1
    """The base model is measured under the first version."""


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
    """Whether it asks something else of a reply: compared by its check if both versions have one, else by text and
    hazard. Another weight, other examples or other refusals do not count."""
    flipped: bool = False
    """Whether it asks for the opposite: what a reply must match in one version it must not match in the other."""
    fields: tuple[FieldChange, ...] = ()


class Difference(Record):
    """What differs from one version to another."""

    before: str
    """The earlier version's name."""
    after: str
    principles: tuple[PrincipleChange, ...]
    """In the order of the later version, removed ones last."""
    variants: tuple[str, ...] = ()
    """Names of variants that were added, removed or changed."""

    @property
    def moved(self) -> frozenset[str]:
        """Ids of principles in the later version that are new or ask for something else."""
        return frozenset(change.id for change in self.principles if change.moved and change.kind != "removed")


def difference(before: Constitution, after: Constitution) -> Difference:
    """Principles added, removed and changed, field by field; variants by name only."""
    old = {principle.id: principle for principle in before.principles}
    new = {principle.id: principle for principle in after.principles}
    changes = [
        _changed(old[id], principle) if id in old else PrincipleChange(id=id, kind="added", moved=True)
        for id, principle in new.items()
        if old.get(id) != principle
    ]
    changes += [PrincipleChange(id=id, kind="removed", moved=True) for id in old if id not in new]
    variants = [{variant.name: variant for variant in version.variants} for version in (before, after)]
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
    """What a principle asks of a reply, in a form that can be compared with the other's."""
    if principle.check is not None and other.check is not None:
        return principle.check.model_dump(exclude={"mend"})
    return principle.text, principle.hazard


def _flipped(old: Principle, new: Principle) -> bool:
    a, b = old.check, new.check
    if not isinstance(a, PatternCheck) or not isinstance(b, PatternCheck):
        return False
    return (a.must, a.must_not) == (b.must_not, b.must) and (a.only, a.tags) == (b.only, b.tags)
