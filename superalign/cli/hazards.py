"""`hazards list | add`: what counts as known, and how a cluster of failures comes to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from superalign.analysis.failure_clusters import FailureCluster, FailureReport
from superalign.analysis.run_hazards import add_hazard, hazard_book
from superalign.api.start_resume import origin
from superalign.cli.format import clean, command, labelled
from superalign.cli.options import Json, RunDir, group
from superalign.config.hazards_file import load_hazards
from superalign.config.recipe import load_recipe
from superalign.errors import RunFolderError
from superalign.files.yaml_lines import nearest
from superalign.records.base import HAZARDS, OwnHazard
from superalign.store.round_folder import ROUNDS, read_record
from superalign.store.run_folder import RunFolder

_EXAMPLE_CHARS = 60


app = group("Hazards of your own, made from clusters of failures.")


@app.command("list")
def list_hazards(
    path: Annotated[Path, typer.Argument(metavar="DIR|RECIPE", help="A run folder, or a recipe.", show_default=False)],
    as_json: Json = False,
) -> None:
    """List the hazards that a run or a recipe knows.

    Of a run also the emergent clusters, which no hazard covers.
    """
    if path.is_file():
        recipe, _ = load_recipe(path)
        written, added, emergent = load_hazards(recipe.hazards, path.parent), list[OwnHazard](), list[FailureCluster]()
    else:
        with RunFolder.open(path, read_only=True) as folder:
            written, added = _of_recipe(folder), hazard_book(path).read()
            named = {hazard.cluster for hazard in added}
            emergent = [cluster for cluster in _clusters(folder) if cluster.emergent and cluster.id not in named]
    if as_json:
        groups = {"recipe": written, "run": added, "emergent": emergent}
        data = {name: [record.model_dump(mode="json") for record in group] for name, group in groups.items()}
        print(json.dumps({"taxonomy": HAZARDS} | data, ensure_ascii=False))
        return
    print("\n".join(labelled("taxonomy", ", ".join(HAZARDS))))
    for label, hazards in (("recipe", written), ("run", added)):
        for hazard in hazards:
            print("\n".join(labelled(label, _in_words(hazard))))
    for cluster in emergent:
        what = "complied with" if cluster.intent == "harmful" else "needlessly refused"
        examples = "; ".join(clean(example.goal, _EXAMPLE_CHARS) for example in cluster.examples)
        print("\n".join(labelled("emergent", f"{cluster.id}: {cluster.goals} goals {what}: {examples}")))
    if emergent:
        print(f"add one     {command('hazards', 'add', path, '--cluster', emergent[0].id, '--name')} NAME")


@app.command()
def add(
    path: RunDir,
    cluster: Annotated[str, typer.Option(metavar="ID", help="A cluster of failures, such as r001-2.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Small letters, digits and underscores.")],
    about: Annotated[str, typer.Option(metavar="TEXT", help="What it is, in a sentence.")] = "",
    as_json: Json = False,
) -> None:
    """Make a cluster of failures a hazard of your own.

    Also while the run is under way. From the next round on, failures near to its goals count as covered and bear its
    name. A recipe that names a copy of the run's hazards.jsonl as `hazards` begins with it.
    """
    with RunFolder.open(path, read_only=True) as folder:
        known = {each.id: each for each in _clusters(folder)}
        if not known:
            hint = "failures are clustered where the recipe needs an embedder, once a round has three that are alike"
            raise RunFolderError(f"{path}: there is no cluster of failures", hint)
        if cluster not in known:
            raise RunFolderError(f"{path}: there is no cluster {cluster}", nearest(cluster, known))
        hazard = add_hazard(path, known[cluster], name, about.strip(), [one.name for one in _of_recipe(folder)])
    if as_json:
        print(json.dumps(hazard.model_dump(mode="json"), ensure_ascii=False))
        return
    print("\n".join(labelled("added", _in_words(hazard))))
    print(f"next run    copy {hazard_book(path).path} beside its recipe, and name it there as `hazards`")


def _of_recipe(folder: RunFolder) -> tuple[OwnHazard, ...]:
    """The hazards of the file that the run's recipe names."""
    name = folder.resolved.get("hazards")
    return load_hazards(str(name), origin(folder.path)) if name else ()


def _clusters(folder: RunFolder) -> Iterator[FailureCluster]:
    for path in sorted(folder.path.glob(f"{ROUNDS}/*/failures.json")):
        yield from read_record(path, FailureReport).clusters


def _in_words(hazard: OwnHazard) -> str:
    came = f" from {hazard.cluster}" if hazard.cluster else ""
    about = f": {hazard.about}" if hazard.about else ""
    return clean(f"{hazard.name}, {len(hazard.goals)} goals{came}{about}")
