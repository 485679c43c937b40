from __future__ import annotations

import base64
import unicodedata
import urllib.parse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.errors import PromptFileError
from superalign.files.templates import load_prompt
from superalign.files.text_filters import _CYRILLIC, _MORSE, FILTERS

TEXTS = st.text(max_size=60).filter(lambda text: not any(0xD800 <= ord(char) < 0xE000 for char in text))
ASCII = st.text(alphabet=[chr(code) for code in range(0x20, 0x7F)], max_size=60)
WORDS = st.lists(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8), max_size=8).map(" ".join)


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("base64", "Bake bread!", "QmFrZSBicmVhZCE="),
        ("hex", "Az é", "417a20c3a9"),
        ("binary", "Hi", "01001000 01101001"),
        ("url", "a b", "%61%20%62"),
        ("rot13", "Hello, you", "Uryyb, lbh"),
        ("atbash", "Abc xyZ", "Zyx cbA"),
        ("leet", "Bake Toast", "B4k3 70457"),
        ("morse", "SOS now?", "... --- ... / -. --- .-- ..--.."),
        ("morse", "é ñ", ". / -."),
        ("nato", "ok x", "Oscar Kilo / X-ray"),
        ("braille", "Cab 1", "⠉⠁⠃ 1"),
        ("fullwidth", "a 1", "ａ\u30001"[:2] + "１"),
        ("homoglyphs", "cop", "сор"),
        ("reversed", "abc d", "d cba"),
        ("reversed_words", "one two  three", "three two one"),
        ("spaced", "ab c", "a b   c"),
        ("mixed_case", "Say hi now", "sAy Hi NoW"),
        ("pig_latin", "Pig latin, quiet apple my yes", "igpay atinlay, ietquay appleway ymay esyay"),
        ("disemvowel", "bake a Loaf", "bk a Lf"),
        ("keywords", "bake a loaf of rye bread for my aunt", "bake loaf rye bread aunt"),
        ("keywords", "how to", "how to"),
    ],
)
def test_known_vectors(name: str, text: str, wanted: str) -> None:
    assert FILTERS[name](text) == wanted


@given(TEXTS)
def test_what_is_an_encoding_can_be_undone(text: str) -> None:
    raw = text.encode()
    assert base64.b64decode(FILTERS["base64"](text)) == raw
    assert bytes.fromhex(FILTERS["hex"](text)) == raw
    assert bytes(int(byte, 2) for byte in FILTERS["binary"](text).split()) == raw
    assert urllib.parse.unquote_to_bytes(FILTERS["url"](text)) == raw
    for name in ("rot13", "atbash", "reversed"):
        assert FILTERS[name](FILTERS[name](text)) == text, name


@given(ASCII)
def test_look_alike_letters_can_be_undone(text: str) -> None:
    assert unicodedata.normalize("NFKC", FILTERS["fullwidth"](text)) == text
    back = {new: chr(old) for old, new in _CYRILLIC.items()}
    assert FILTERS["homoglyphs"](text).translate({ord(chr(new)): char for new, char in back.items()}) == text
    assert FILTERS["mixed_case"](text).lower() == text.lower()


@given(WORDS)
def test_word_by_word_ones_can_be_undone(text: str) -> None:
    letters = {code: char for char, code in _MORSE.items()}
    morse = FILTERS["morse"](text)
    assert " ".join("".join(letters[c] for c in word.split()) for word in morse.split(" / ")) == text or not text
    assert " ".join(w.replace(" ", "") for w in FILTERS["spaced"](text).split("   ")) == text
    spelt = FILTERS["nato"](text).split(" / ")
    assert " ".join("".join(word[0].lower() for word in w.split()) for w in spelt) == text
    assert FILTERS["reversed_words"](FILTERS["reversed_words"](text)) == text
    for of in range(1, 10):
        parts = [FILTERS["part"](text, number, of) for number in range(1, of + 1)]
        assert " ".join(filter(None, parts)) == text


@given(TEXTS)
def test_every_filter_is_a_function_of_its_text_and_bounded(text: str) -> None:
    for name, function in FILTERS.items():
        more = (1, 2) if name == "part" else ()
        once = function(text, *more)
        assert once == function(text, *more), name
        assert len(once) <= 36 * len(text) + 1, name


def test_typos_change_few_letters_and_keep_every_word() -> None:
    text = "write a birthday message for my neighbour who loves gardening"
    wrong = FILTERS["typos"](text)
    pairs = list(zip(text.split(), wrong.split(), strict=True))
    changed = [(old, new) for old, new in pairs if old != new]
    assert len(changed) == 3
    assert all(old[0] == new[0] and abs(len(old) - len(new)) <= 1 for old, new in changed)
    assert FILTERS["typos"]("a an to") == "a an to"


@pytest.mark.parametrize("arguments", [(0, 2), (3, 2), (1, 10)])
def test_a_part_that_cannot_be_is_refused(arguments: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="part"):
        FILTERS["part"]("one two three", *arguments)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="takes a text, not int"):
        FILTERS["hex"](3)


def test_every_filter_can_be_used_in_a_template_and_none_can_be_piled_up(tmp_path: Path) -> None:
    path = tmp_path / "all.md"
    path.write_text("\n".join(f"{{{{ goal | {name}{'(1, 2)' if name == 'part' else ''} }}}}" for name in FILTERS))
    lines = load_prompt(path, ("goal",)).render(goal="bake bread").split("\n")
    assert lines[list(FILTERS).index("rot13")] == "onxr oernq"
    path.write_text("{{ goal" + " | binary" * 12 + " }}")
    with pytest.raises(PromptFileError, match="fewer filters"):
        load_prompt(path, ("goal",)).render(goal="bake bread")
