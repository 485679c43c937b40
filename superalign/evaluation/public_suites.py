"""Public suites by name: which files of a folder they are in, where the hub has them, which rows and columns count."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import Field

from superalign.errors import PromptFileError
from superalign.evaluation.options import SuiteSource
from superalign.files.hub_datasets import HUB, hub_file
from superalign.records.base import Record, SuiteKind

FOLDER = "SUPERALIGN_DATA"
"""The environment variable that names the folder of public data sets, where the recipe does not."""


class Form(Record):
    """One shape in which a data set is passed around."""

    files: tuple[str, ...] = ()
    """Names that its file has, in a folder or in the folder's own folder of the suite's name."""
    hub: str | None = None
    """OWNER/NAME[/CONFIG][:SPLIT]."""
    reading: Mapping[str, str | bool] = Field(default_factory=dict)
    """Further arguments of the hub's loader."""
    columns: dict[str, str] = Field(default_factory=dict)
    where: dict[str, str] = Field(default_factory=dict)


class PublicSuite(Record):
    """A data set, or the part of it that is of one kind."""

    kind: SuiteKind
    about: str
    licence: str
    citation: str
    forms: tuple[Form, ...]
    """The first one that is there is taken; files come before the hub."""


PUBLIC: Mapping[str, PublicSuite] = {
    name: PublicSuite.model_validate(suite)
    for name, suite in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8")).items()
}


def data_folder(data: str | None, base_dir: Path | None) -> Path | None:
    """The recipe's folder of public data, relative to `base_dir`, or the one that the environment names."""
    if data is not None:
        return (base_dir or Path()) / Path(data).expanduser()
    named = os.environ.get(FOLDER)
    return Path(named).expanduser() if named else None


def local_file(name: str, folder: Path | None) -> tuple[Form, Path] | None:
    """The form of a public suite that a folder holds, and its file."""
    if folder is None:
        return None
    files = (
        (form, place / file) for form in PUBLIC[name].forms for file in form.files for place in (folder, folder / name)
    )
    return next(((form, path) for form, path in files if path.is_file()), None)


def fetch(source: SuiteSource, folder: Path | None) -> tuple[SuiteSource, Path]:
    """A public suite's source, completed, and its file; raises PromptFileError with what to put where."""
    suite = PUBLIC[source.file]
    form, path = local_file(source.file, folder) or _from_hub(source.file, suite, folder)
    completed = {
        "name": source.name or source.file, "kind": source.kind or suite.kind,
        "columns": form.columns | source.columns, "where": form.where | source.where,
    }  # fmt: skip
    return source.model_copy(update=completed), path


def _from_hub(name: str, suite: PublicSuite, folder: Path | None) -> tuple[Form, Path]:
    form = next(form for form in suite.forms if form.hub)
    try:
        return form, hub_file(f"{HUB}{form.hub}", **form.reading)
    except PromptFileError as error:
        files = ", ".join(file for form in suite.forms for file in form.files)
        where = f"{folder} has no {files}" if folder else f"no folder of data is named ({files})"
        hint = f"put one of these files into a folder and name it with `evaluation.data` or ${FOLDER}"
        raise PromptFileError(f"{name}: {where}, and {error.what}", hint) from error
