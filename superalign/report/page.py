"""`report.html`: one file that asks for nothing outside itself, and in which a model's text is never more than text."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import jinja2
from markupsafe import Markup

from superalign.evaluation.paired_comparison import Compared
from superalign.records.evaluation import Evaluation
from superalign.report import browser_entries
from superalign.report.browser_entries import ATTACK_FACETS, HELD_OUT_FACETS, Entry
from superalign.report.html import tag
from superalign.report.page_data import Facts, ModelFigures, Section, gather
from superalign.report.sections import attacks, held_out, learning, overview
from superalign.store.atomic import write_atomic
from superalign.store.run_folder import RunFolder

SECTIONS: tuple[tuple[str, str, Section], ...] = (
    ("decisions", "What the gate decided", overview.decisions),
    ("frontier", "Safer without refusing more?", overview.frontier),
    ("rounds", "Round by round", overview.rounds),
    ("suites", "Held-out suites", lambda facts: held_out.suites([model for _, model in facts.measured])),
    ("hazards-held-out", "Hazards, held out", lambda facts: held_out.hazards([model for _, model in facts.measured])),
    ("hazards", "Hazards under attack", attacks.hazards),
    ("strategies", "Attack strategies", attacks.strategies),
    ("failures", "Kinds of failure", attacks.failures),
    ("attacker", "Training of the attacker", attacks.attacker),
    ("critic", "Can the critic be trusted?", learning.critic),
    ("audit", "Does it behave where the critic can't see?", held_out.audit),
    ("examples", "What was learned from", learning.examples),
    ("effort", "Safety against help", learning.effort),
    ("values", "Changed principles", learning.values),
    ("people", "Labels by people", learning.people),
    ("recipe", "What the recipe asks for", learning.recipe),
    ("time", "Time and tokens", learning.time),
)  # fmt: skip
"""In the order of the page. A new section is a function in `sections/` and a line here."""
RenderedSection = tuple[str, str, Markup]
"""Id, title and inside of a section."""
Browser = tuple[str, str, str, Sequence[str], Iterator[Entry]]
"""Id, title, name, facets and entries of a browser."""
_PAGES = Path(__file__).parent / "pages"
_DATA = "<!--data-->"
"""Where the blocks of entries go; no text can hold it, since its first character would be escaped."""


def write_report(folder: RunFolder, to: Path, *, live: bool = False) -> int:
    """Write the page of a run, finished or not; returns its bytes. Memory does not grow with the number of exchanges.

    live: with the bar and the script by which the page follows the run, if `live.py` serves it.
    Raises RunFolderError for a damaged run folder, or if the disk refuses.
    """
    facts = gather(folder)
    browsers: list[Browser] = []
    if facts.run.attacked is None:
        browsers.append(("before-after", "Held-out prompts, before and after", "held_out", HELD_OUT_FACETS,
                         browser_entries.held_out(folder, facts)))  # fmt: skip
    browsers.append(
        ("attacks", "Attacks and answers", "attacks", ATTACK_FACETS, browser_entries.attacks(folder, facts))
    )
    shown = [(id, title, body) for id, title, section in SECTIONS if (body := section(facts))]
    return _write(to, facts.run.name, _about(facts), overview.headline(facts), shown, browsers, live)


def write_evaluation(
    evaluations: Sequence[tuple[str, Evaluation, Path]], compared: Sequence[Compared], title: str, to: Path
) -> int:
    """Write the page of one or several models, measured outside of a run; returns its bytes.

    evaluations: name, figures and file of replies of each model; the first is the reference.
    """
    figures = [evaluation.model_copy(update={"checkpoint": name}) for name, evaluation, _ in evaluations]
    measured = [ModelFigures(one.checkpoint, one.checkpoint, "open", one) for one in figures]
    sections: list[tuple[str, str, Markup | None]] = [
        ("shares", "Held-out prompts", held_out.model_shares(figures, compared)),
        ("differences", f"Against {figures[0].checkpoint}", held_out.model_differences(figures, compared)),
        ("suites", "Held-out suites", held_out.suites(measured)),
        ("hazards-held-out", "Hazards", held_out.hazards(measured, "")),
    ]
    names = [one.checkpoint for one in figures]
    entries = browser_entries.compared([(name, path, evaluation) for name, evaluation, path in evaluations])
    browsers: list[Browser] = []
    if figures[0].suites:
        heading = "Prompts and replies" + (", side by side" if len(names) > 1 else "")
        browsers.append(("replies", heading, "replies", browser_entries.compared_facets(names), entries))
    about = tag("p", f"Measured outside of a run. Written {_now()}.", class_="quiet")
    shown = [(id, name, body) for id, name, body in sections if body]
    return _write(to, title, about, held_out.models_headline(figures, compared), shown, browsers)


def _write(
    to: Path,
    name: str,
    about: Markup,
    headline: Markup | None,
    sections: Sequence[RenderedSection],
    browsers: Iterable[Browser],
    live: bool = False,
) -> int:
    browsers = list(browsers)
    scripts = [(_PAGES / f"{part}.js").read_text("utf-8") for part in ("page", *(["live"] if live else []))]
    style = (_PAGES / "style.css").read_text("utf-8")
    connect = "connect-src 'self'; " if live else ""
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PAGES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    page = pages.get_template("page.html").render(
        name=tag("span", name),
        about=about,
        headline=headline,
        sections=[*sections, *((id, title, _browser(of, facets)) for id, title, of, facets, _ in browsers)],
        live=live,
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {' '.join(map(_hash, scripts))}; {connect}"
        "base-uri 'none'; form-action 'none'",
        data=Markup(_DATA),
    )
    head, _, tail = page.partition(_DATA)
    size = 0

    def counted(parts: Iterable[bytes]) -> Iterator[bytes]:
        nonlocal size
        for part in parts:
            size += len(part)
            yield part

    data = (browser_entries.blocks(of, entries) for _, _, of, _, entries in browsers)
    write_atomic(to, counted(chain([head.encode()], *data, [tail.encode()])))
    return size


def _about(facts: Facts) -> Markup:
    done = sum(summary.done for summary in facts.run.rounds if summary.round)
    wanted = f" of {facts.rounds}" if facts.rounds is not None else ""
    state = "finished" if facts.finished else "not finished, so figures will change"
    words = f"Alignment of {facts.resolved.get('model', 'the model')}: {done}{wanted} rounds, {state}."
    if facts.run.attacked is not None:
        words = f"Attacks on {facts.run.attacked}."
    return tag("p", f"{words} Written {_now()}.", class_="quiet")


def _browser(name: str, facets: Sequence[str]) -> Markup:
    """Filled by the script."""
    return tag("div", tag("noscript", "This part needs scripts."), class_="browser", data_of=name,
               data_facets=json.dumps(facets))  # fmt: skip


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())


def _hash(text: str) -> str:
    """For the content security policy: this very text, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
