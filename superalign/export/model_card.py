"""The model card of an exported model: facts of the run -> README.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml

from superalign.records.base import Record
from superalign.records.evaluation import Evaluation, Interval
from superalign.records.training import Origin


class RoundFacts(Record):
    """One round of the run, as a line of the card."""

    number: int
    checkpoint: str
    promoted: bool
    reason: str
    """The gate's reason."""
    sha256: str | None = None
    """Hash of the adapter's weights."""
    num_examples: int | None = None
    """Training examples."""


class ModelCardFacts(Record):
    """Everything a model card can contain; what is unknown is left out of it."""

    name: str
    checkpoint: str = "base"
    """Id of the exported checkpoint."""
    base_model: str | None = None
    """Hub id of the base model; None: it has none, or its weights are not those of the hub."""
    base_described: str = ""
    """The base in words, e.g. with its package and version."""
    license: str | None = None
    """As the hub writes it (`apache-2.0`); None: unknown, left out."""
    language: str | None = None
    run: str = ""
    """Name of the run."""
    version: str = ""
    """superalign's."""
    evaluation: Evaluation | None = None
    """Evaluation of the exported checkpoint."""
    baseline: Evaluation | None = None
    """Evaluation of the base model, on the same suites."""
    rounds: tuple[RoundFacts, ...] = ()
    pairs: Mapping[Origin, int] = {}
    """Training examples of all promoted rounds, by origin."""
    hashes: Mapping[str, str] = {}
    """What this model came from, e.g. recipe, prompts, manifest -> sha256."""
    limitations: tuple[str, ...] = ()
    """Printed after those that hold for every model of this kind."""


_CARD = Path(__file__).with_name("model_card.md.jinja")
LIMITATIONS = (
    "The rates above come from a few held-out prompts and one judge; other prompts, languages and attacks give others.",
    "Refusing more is not being safe: it can still write harmful, false or biased text, or refuse the harmless.",
    "It was trained on examples written and judged by models, with their errors.",
)


def render_card(facts: ModelCardFacts, *, form: str, base: str, dtype: str) -> str:
    """The text of README.md, with YAML front matter as a model hub reads it."""
    front: dict[str, Any] = {
        "license": facts.license,
        "language": facts.language,
        "base_model": facts.base_model,
        "base_model_relation": ("adapter" if form == "adapter" else "finetune") if facts.base_model else None,
        "library_name": "peft" if form == "adapter" else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["superalign", "alignment", "safety", *(["lora"] if form == "adapter" else []), dtype],
    }
    environment = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"rate": _rate, "cell": _cell}
    text = environment.from_string(_CARD.read_text(encoding="utf-8")).render(
        facts=facts,
        form=form,
        number="{:.4g}".format,
        described=facts.base_described or facts.base_model or (Path(base).name if Path(base).is_absolute() else base),
        base=base,
        front=yaml.safe_dump({key: value for key, value in front.items() if value}, sort_keys=False),
        baseline={suite.suite: suite for suite in facts.baseline.suites} if facts.baseline else {},
        limitations=(*LIMITATIONS, *facts.limitations),
    )
    return _spaced(text)


def _spaced(text: str) -> str:
    """Blank lines around headings and tables: Jinja's blocks eat newlines, and Markdown needs them."""
    text = re.sub(r"\n+(#+ .*)\n+", r"\n\n\1\n\n", text)
    text = re.sub(r"(?<=[^|\n])\n(?=\|)|(?<=\|)\n(?=[^|\n])", "\n\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def _rate(interval: Interval) -> str:
    if interval.n == 0:
        return "unscored"
    return f"{interval.rate:.1%} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _cell(text: str) -> str:
    """Text that stays inside its table cell."""
    return " ".join(text.replace("|", "\\|").split())
