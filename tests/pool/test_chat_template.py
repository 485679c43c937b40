"""Texts that are longer than the model's window, against lm-eval's own windows; what a tokenizer adds by itself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from superalign.errors import PromptTooLongError
from superalign.pool.chat_template import Chat
from superalign.records.rollout import Message

BOS, END = 1, 2


class Letters:
    """A token a letter, and one before a text of its own, as Llama's and Gemma's tokenizers put it."""

    bos_token, bos_token_id = "^", BOS

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        letters = [BOS if letter == "^" else ord(letter) for letter in text]
        return [BOS, *letters] if add_special_tokens else letters

    def apply_chat_template(self, turns: list[dict[str, str]], **_: object) -> str:
        return "^" + "".join(turn["content"] for turn in turns)


CHAT = Chat(Letters(), "letters", END)


@given(st.integers(1, 90), st.integers(4, 40))
@settings(max_examples=60, deadline=None)
def test_a_long_text_is_scored_in_lm_evals_windows(length: int, max_model_len: int) -> None:
    text = "".join(chr(100 + index) for index in range(length))
    found = CHAT.continuation("", text, end=False, max_model_len=max_model_len)
    tokens = CHAT.encode(text)
    windows = get_rolling_token_windows(tokens, prefix_token=BOS, max_seq_len=max_model_len - 2, context_len=1)
    assert found == [(a + b, len(a)) for a, b in map(make_disjoint_window, windows)]
    assert [token for window, start in found for token in window[start:]] == tokens


def test_a_long_context_loses_its_beginning_and_a_conversation_is_refused() -> None:
    assert CHAT.continuation("abcdef", "gh", end=False, max_model_len=6) == [([ord(x) for x in "defgh"], 3)]
    assert CHAT.continuation("ab", "gh", end=True, max_model_len=8) == [([BOS, *map(ord, "abgh"), END], 3)]
    with pytest.raises(PromptTooLongError):
        CHAT.continuation("ab", "cdefgh", end=False, max_model_len=6)
    with pytest.raises(PromptTooLongError):
        CHAT.continuation((Message(role="user", content="abcdef"),), "gh", end=False, max_model_len=6)


def test_what_is_asked_leaves_room_for_the_answer() -> None:
    assert CHAT.asked("abcdef", 4, 8) == ([ord(x) for x in "cdef"], 4)
    assert CHAT.asked("ab", 4, 8) == ([BOS, *map(ord, "ab")], 4)
    assert CHAT.prompt("^ab") == CHAT.prompt("ab")  # a prompt with the mark of a beginning gets no second one
    turns = (Message(role="user", content="abcdef"),)
    assert CHAT.asked(turns, 4, 8) == ([BOS, *map(ord, "abcdef")], 1)
    with pytest.raises(PromptTooLongError):
        CHAT.asked(turns, 4, 7)
