"""What a stranger's template can't do: each attempt ends in an error with its file, at once, in little memory."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest

from superalign.attacker.strategies.load import load_strategy
from superalign.errors import PromptFileError
from superalign.files.template_sandbox import MAX_CHARS, MAX_SOURCE_CHARS
from superalign.files.templates import load_prompt

LONG = "bake bread " * 700
ESCAPES = {
    "attribute walk": "{{ goal.__class__.__mro__[1].__subclasses__() }}",
    "attribute without a call": "{{ goal.__class__ }}",
    "attribute that is only tested": "{% if goal.__class__ is defined %}x{% endif %}",
    "item walk": "{{ goal['__class__'] }}",
    "item whose name is put together": "{{ goal['__cla' ~ 'ss__'] }}",
    "attr filter": "{{ goal | attr('__class__') }}",
    "map filter": "{{ [goal] | map(attribute='__class__') | list }}",
    "select filter": "{{ [goal] | select('defined') | list }}",
    "selectattr filter": "{{ [goal] | selectattr('__class__') | first }}",
    "method": "{{ goal.upper() }}",
    "method that is printed": "{{ goal.upper }}",
    "method by item": "{{ goal['format'] }}",
    "format string by method": "{{ '{0.__class__}'.format(goal) }}",
    "format string by filter": "{{ '%s' | format(goal) }}",
    "format string by operator": "{{ '%999999999d' % 1 }}",
    "xmlattr filter": "{{ {'a': goal} | xmlattr }}",
    "pprint filter": "{{ goal | pprint }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}",
    "from import": "{% from 'os' import path %}",
    "extends": "{% extends '/etc/passwd' %}",
    "block": "{% block a %}{{ goal }}{% endblock %}",
    "cycler": "{{ cycler.__init__.__globals__.os }}",
    "joiner": "{{ joiner.__init__ }}",
    "lipsum": "{{ lipsum.__globals__['os'] }}",
    "namespace": "{{ namespace(a=1) }}",
    "self": "{{ self.__init__ }}",
    "self that is only named": "{{ self }}",
    "super": "{{ super }}",
    "caller": "{{ caller }}",
    "context": "{{ context.environment }}",
    "config": "{{ config.items() }}",
    "loop's inside": "{% for x in [1] %}{{ loop._iterator }}{% endfor %}",
    "range": "{% for a in range(999999999) %}x{% endfor %}",
    "loop over a text": "{% for a in goal %}{{ a }}{% endfor %}",
    "loops inside loops": "{% for a in [1,2] %}{% for b in [1,2] %}x{% endfor %}{% endfor %}",
    "recursive loop": "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "recursive loop without a call": "{% for a in [1] recursive %}{{ a }}{% endfor %}",
    "macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "call block": "{% call goal() %}x{% endcall %}",
    "do": "{% do goal %}",
    "set": "{% set a = goal ~ goal %}{{ a }}",
    "set block": "{% set a %}{{ goal }}{% endset %}{{ a }}",
    "with": "{% with a = goal ~ goal %}{{ a }}{% endwith %}",
    "text times number": "{{ 'x' * 999999999 }}",
    "list times number": "{{ [1] * 999999999 }}",
    "power": "{{ 9 ** 9 ** 9 }}",
    "dictionary": "{{ {'a': 1} }}",
    "center": "{{ goal | center(999999999) }}",
    "indent": "{{ goal | indent(999999999) }}",
    "join": "{{ goal | join(goal) }}",
    "replace": "{{ goal | replace('a', goal) }}",
    "tojson": "{{ goal | tojson }}",
    "filters that lengthen": "{{ goal" + " | binary" * 9 + " }}",
    "filters that lengthen a constant": "{{ 'xxxxxxxxxx'" + " | binary" * 9 + " }}{{ goal }}",
    "filter block that lengthens": "{% filter binary %}" * 6 + "{{ goal }}" + "{% endfilter %}" * 6,
    "many filters": "{% for a in [" + "1," * 999 + "] %}{{ goal" + " | rot13" * 40 + " }}{% endfor %}",
    "much output": "{% for a in [" + "1," * 5000 + "] %}{{ goal }}{% endfor %}",
    "deep brackets": "{{ " + "(" * 3000 + "goal" + ")" * 3000 + " }}",
    "deep conditions": "{% if goal %}" * 300 + "{{ goal }}" + "{% endif %}" * 300,
    "deep negations": "{{ " + "not " * 5000 + "goal }}",
    "long source": "{{ goal }}" + "x" * MAX_SOURCE_CHARS,
    "translation": "{% trans %}x{% endtrans %}",
    "debug": "{% debug %}",
    "autoescape": "{% autoescape true %}{{ goal }}{% endautoescape %}",
    "await": "{{ await goal }}",
}


@pytest.mark.parametrize("body", ESCAPES.values(), ids=ESCAPES)
def test_an_escape_fails_at_once_and_in_little_memory(tmp_path: Path, body: str) -> None:
    path = tmp_path / "evil.md"
    path.write_text(f"---\ndescription: d\n---\n{{{{ goal | trim }}}}\n{body}\n")
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(PromptFileError) as caught:
        load_prompt(path, ("goal",)).messages(goal=LONG)
    took, most = time.process_time() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert f"{path}:" in str(caught.value)
    assert took < 10, "without a bound it would not end at all"
    assert most < 64 * 2**20


def test_there_are_enough_of_them() -> None:
    assert len(ESCAPES) >= 25


def test_the_same_frame_without_an_escape_works(tmp_path: Path) -> None:
    path = tmp_path / "good.md"
    path.write_text(
        "{{ goal | trim | phrase }} {{ goal | base64 }} {% if goal == 'x' %}a{% else %}b{% endif %}"
        "{% for n in [1, 2] %}{{ loop.index }}{{ n }}{% endfor %}{% filter upper %}c{% endfilter %}{{ goal[:4] ~ '!' }}"
    )
    [message] = load_prompt(path, ("goal",)).messages(goal="Bake bread.")
    assert message.content == "bake bread QmFrZSBicmVhZC4= b1122CBake!"


def test_every_fault_of_a_template_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "evil.md"
    path.write_text("---\ndescription: d\n---\n{{ goal }}\n{{ goal.upper() }}\n{{ 'a' * 3 }}\n{{ goal | shout }}\n")
    with pytest.raises(PromptFileError) as caught:
        load_strategy(path)
    lines = str(caught.value).splitlines()
    assert [line.removeprefix(str(path)).split(";")[0] for line in lines] == [
        ":5: a call is not allowed here", ":6: * is not allowed here", ":7: unknown filter shout",
    ]  # fmt: skip


def test_an_error_while_rendering_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "p.md"
    path.write_text("x\n{% for a in goal %}{{ a }}{% endfor %}")
    with pytest.raises(PromptFileError, match=r"p\.md:1: a loop goes over a list, not over a text"):
        load_prompt(path, ("goal",)).messages(goal="bake bread")


def test_the_budget_is_for_each_rendering(tmp_path: Path) -> None:
    path = tmp_path / "p.md"
    path.write_text("{{ goal }}{{ goal | upper }}")
    prompt = load_prompt(path, ("goal",))
    for _ in range(4):
        assert len(prompt.render(goal="x" * (MAX_CHARS // 4))) == MAX_CHARS // 2
    with pytest.raises(PromptFileError, match="more than"):
        prompt.render(goal="x" * MAX_CHARS)
