"""`report.html`: one file that asks for nothing outside itself, and in which a model's text is never more than text."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import jinja2
from markupsafe import Markup

from superalign.report.browser_entries import ATTACK_FACETS, HELD_OUT_FACETS
from superalign.report.browser_entries import attacks as attack_entries
from superalign.report.browser_entries import held_out as held_out_entries
from superalign.report.compressed_blocks import parts
from superalign.report.html import tag
from superalign.report.page_data import Facts, Section, gather
from superalign.report.sections import (
    attacks,
    critic_examples_time,
    deception_audit,
    failure_clusters,
    held_out,
    overview,
    values,
)
from superalign.store.atomic import write_atomic
from superalign.store.run_folder import RunFolder

SECTIONS: tuple[tuple[str, str, Section], ...] = (
    ("decisions", "What the gate decided", overview.decisions),
    ("frontier", "Safer without refusing more?", overview.frontier),
    ("rounds", "Round by round", overview.rounds),
    ("suites", "Held-out suites", held_out.suites),
    ("hazards-held-out", "Hazards, held out", held_out.hazards),
    ("hazards", "Hazards under attack", attacks.hazards),
    ("strategies", "Attack strategies", attacks.strategies),
    ("failures", "Kinds of failure", failure_clusters.failures),
    ("attacker", "Training of the attacker", attacks.attacker),
    ("critic", "Can the critic be trusted?", critic_examples_time.critic),
    ("audit", "Does it behave where the critic can't see?", deception_audit.hidden),
    ("examples", "What was learned from", critic_examples_time.examples),
    ("effort", "Safety against help", values.effort),
    ("values", "Changed principles", values.values),
    ("people", "Labels by people", critic_examples_time.people),
    ("time", "Time and tokens", critic_examples_time.time),
)
"""In the order of the page. A new section is a function beside these and a line here."""
_PAGES = Path(__file__).parent / "pages"
_DATA = "<!--data-->"
"""Where the blocks of entries go; no text can hold it, since its first character would be escaped."""


def write_report(folder: RunFolder, to: Path) -> int:
    """Write the page of a run, finished or not; returns its bytes. Memory does not grow with the number of exchanges.

    Raises RunFolderError for a damaged run folder, and where the disk refuses.
    """
    facts = gather(folder)
    head, tail = _shell(facts)
    blocks = chain(
        [head.encode()],
        parts("attacks", attack_entries(folder, facts)),
        parts("held_out", held_out_entries(folder, facts)),
        [tail.encode()],
    )
    written = _Counted(blocks)
    write_atomic(to, written)
    return written.size


def _shell(facts: Facts) -> tuple[str, str]:
    """What stands before the blocks, and after."""
    style, script = (_PAGES / "style.css").read_text("utf-8"), (_PAGES / "page.js").read_text("utf-8")
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PAGES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    shown = [(id, title, body) for id, title, section in SECTIONS if (body := section(facts))]
    shown += [
        ("before-after", "Held-out prompts, before and after", _browser("held_out", HELD_OUT_FACETS)),
        ("attacks", "Attacks and answers", _browser("attacks", ATTACK_FACETS)),
    ]
    page = pages.get_template("page.html").render(
        name=tag("span", facts.run.name),
        about=_about(facts),
        headline=overview.headline(facts),
        sections=shown,
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
        data=Markup(_DATA),
    )
    head, _, tail = page.partition(_DATA)
    return head, tail


def _about(facts: Facts) -> Markup:
    done = sum(summary.done for summary in facts.run.rounds if summary.round)
    wanted = f" of {facts.rounds}" if facts.rounds is not None else ""
    state = "finished" if facts.finished else "not finished, so figures will change"
    written = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    if facts.run.attacked is not None:
        return tag("p", f"Attacks on {facts.run.attacked}. Written {written}.", class_="quiet")
    words = f"Alignment of {facts.model}: {done}{wanted} rounds, {state}. Written {written}."
    return tag("p", words, class_="quiet")


def _browser(name: str, facets: Sequence[str]) -> Markup:
    """Filled by the script."""
    return tag("div", tag("noscript", "This part needs scripts."), class_="browser", data_of=name,
               data_facets=json.dumps(facets))  # fmt: skip


def _hash(text: str) -> str:
    """For the content security policy: this very text, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


class _Counted:
    """Blocks as they come, and how many bytes they were."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            self.size += len(block)
            yield block
