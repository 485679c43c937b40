"""Public suites by name: which files of a folder they are in, where the hub has them, which rows and columns count."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

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


def _jailbreakbench(kind: SuiteKind, part: str) -> PublicSuite:
    columns = {"prompt": "Goal", "id": "Index"}
    hub = f"JailbreakBench/JBB-Behaviors/behaviors:{part}"
    return PublicSuite(
        kind=kind, about=f"100 {part} behaviours, each with a twin of the other kind", licence="MIT",
        citation="Chao et al. 2024, arXiv 2404.01318",
        forms=(Form(files=(f"{part}-behaviors.csv",), columns=columns), Form(hub=hub, columns=columns)),
    )  # fmt: skip


def _xstest(kind: SuiteKind, label: str, about: str) -> PublicSuite:
    where = {"label": label}
    return PublicSuite(
        kind=kind, about=about, licence="CC-BY-4.0", citation="Roettger et al. 2024, arXiv 2308.01263",
        forms=(Form(files=("xstest_prompts.csv", "xstest_prompts.jsonl"), where=where),
               Form(hub="Paul/XSTest", where=where)),
    )  # fmt: skip


def _or_bench(kind: SuiteKind, part: str, about: str) -> PublicSuite:
    return PublicSuite(
        kind=kind, about=about, licence="CC-BY-4.0", citation="Cui et al. 2024, arXiv 2405.20947",
        forms=(Form(files=(f"{part}.csv",)), Form(hub=f"bench-llm/or-bench/{part}")),
    )  # fmt: skip


def _wildjailbreak(kind: SuiteKind, part: str, about: str) -> PublicSuite:
    columns, where = {"prompt": "adversarial"}, {"data_type": f"adversarial_{part}"}
    hub = Form(
        hub="allenai/wildjailbreak/eval", reading={"delimiter": "\t", "keep_default_na": False},
        columns=columns, where=where,
    )  # fmt: skip
    return PublicSuite(
        kind=kind, about=about, licence="ODC-BY", citation="Jiang et al. 2024, arXiv 2406.18510",
        forms=(Form(files=("wildjailbreak_eval.tsv", "eval.tsv"), columns=columns, where=where),
               Form(files=(f"wildjailbreak_{part}.jsonl",), columns=columns), hub),
    )  # fmt: skip


PUBLIC: Mapping[str, PublicSuite] = {
    "harmbench": PublicSuite(
        kind="harmful", about="standard behaviours: no copyright, no context", licence="MIT",
        citation="Mazeika et al. 2024, arXiv 2402.04249",
        forms=(
            Form(
                files=("harmbench_behaviors_text_all.csv", "harmbench_behaviors_text_test.csv",
                       "harmbench_behaviors_text_val.csv"),
                columns={"prompt": "Behavior"}, where={"FunctionalCategory": "standard"},
            ),
            Form(files=("harmbench_val.jsonl",), where={"kind": "standard"}),
            Form(hub="walledai/HarmBench/standard"),
        ),
    ),
    "strongreject": PublicSuite(
        kind="harmful", about="313 forbidden prompts of six categories", licence="MIT",
        citation="Souly et al. 2024, arXiv 2402.10260",
        forms=(Form(files=("strongreject_dataset.csv",), columns={"prompt": "forbidden_prompt"}),
               Form(hub="walledai/StrongREJECT")),
    ),
    "jailbreakbench": _jailbreakbench("harmful", "harmful"),
    "jailbreakbench_benign": _jailbreakbench("lookalike", "benign"),
    "xstest": _xstest("lookalike", "safe", "250 safe prompts that sound unsafe"),
    "xstest_unsafe": _xstest("harmful", "unsafe", "200 unsafe prompts in contrast to the safe ones"),
    "or_bench": _or_bench("lookalike", "or-bench-hard-1k", "prompts that seem toxic and that many models refuse"),
    "or_bench_toxic": _or_bench("harmful", "or-bench-toxic", "toxic prompts in contrast to those that only seem so"),
    "wildjailbreak": _wildjailbreak("harmful", "harmful", "jailbreaks with tactics seen in the wild"),
    "wildjailbreak_benign": _wildjailbreak("lookalike", "benign", "the same tactics around benign requests"),
    "do_not_answer": PublicSuite(
        kind="harmful", about="939 questions that should not be answered", licence="CC-BY-NC-SA-4.0",
        citation="Wang et al. 2023, arXiv 2308.13387",
        forms=(Form(files=("data_en.csv", "do_not_answer_en.csv"), columns={"prompt": "question"}),
               Form(hub="LibrAI/do-not-answer", columns={"prompt": "question"})),
    ),
}  # fmt: skip


def data_folder(given: str | None, base_dir: Path | None) -> Path | None:
    """The recipe's folder of public data, relative to `base_dir`, or the one that the environment names."""
    if given is not None:
        return (base_dir or Path()) / Path(given).expanduser()
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
