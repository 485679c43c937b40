"""A word-level tokenizer with a chat template, and examples for it."""

from __future__ import annotations

import random

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from superalign.records.rollout import Message
from superalign.records.training import Demonstration, PreferencePair, Target

WORDS = "the a cat dog bird sat ran flew on under over mat roof river old small quick quiet no yes please why".split()
TEMPLATE = (
    "{% for m in messages %}<|im_start|> {{ m['role'] }} {{ m['content'] }} <|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)


def make_tokenizer(template: str = TEMPLATE) -> PreTrainedTokenizerFast:
    special = ["<pad>", "<unk>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {word: i for i, word in enumerate([*special, "user", "assistant", "system", "think", *WORDS])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", unk_token="<unk>", eos_token="<|im_end|>"
    )
    tokenizer.chat_template = template
    return tokenizer


def words(dice: random.Random, low: int, high: int) -> str:
    return " ".join(dice.choices(WORDS, k=dice.randint(low, high)))


def demonstrations(n: int = 24) -> list[Demonstration]:
    dice = random.Random(1)
    return [
        Demonstration(
            id=f"d{i}", origin="expert", kind="ordinary", source="toy",
            prompt=(Message(role="user", content=words(dice, 2, 12)),),
            completion=Target(text=words(dice, 2, 12), complete=i % 3 > 0),
        )
        for i in range(n)
    ]  # fmt: skip


def pairs(n: int = 24) -> list[PreferencePair]:
    dice = random.Random(2)
    return [
        PreferencePair(
            id=f"p{i}", origin="best_worst", kind="harmful", source="toy",
            prompt=(Message(role="user", content=words(dice, 2, 12)),),
            chosen=Target(text=words(dice, 2, 12)),
            rejected=Target(text=words(dice, 13, 20), complete=i % 3 > 0),
        )
        for i in range(n)
    ]  # fmt: skip
