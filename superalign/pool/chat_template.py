"""Conversations to token ids, the same way in every pool that has a tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from superalign.errors import ModelError, PromptTooLongError
from superalign.records.rollout import Messages


@dataclass(frozen=True)
class Chat:
    """A tokenizer with its chat template."""

    tokenizer: Any
    model: str
    end_id: int
    """The token that ends a turn in the template; often, not always, the tokenizer's end of sequence."""

    @classmethod
    def of(cls, tokenizer: Any, model: str) -> Chat:
        """Raises ModelError when there is no chat template."""
        if not tokenizer.chat_template:
            raise ModelError(
                f"{model} has no chat template", "use an instruction-tuned model, or add chat_template.jinja"
            )
        return cls(tokenizer, model, _end_of_turn(tokenizer))

    def prompt(self, messages: Messages | str) -> list[int]:
        """Token ids up to where the assistant's next turn begins, or those of a plain text; none for an empty prompt.

        A plain text begins with the tokenizer's start token if it has one.
        """
        if isinstance(messages, str):
            has_start = messages.startswith(self.tokenizer.bos_token or "\0")
            return list(self.tokenizer.encode(messages, add_special_tokens=not has_start)) if messages else []
        if not messages:
            return []
        turns = [{"role": message.role, "content": message.content} for message in messages]
        text = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        return self.encode(text)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, nothing added."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def asked(self, messages: Messages | str, max_tokens: int, max_model_len: int) -> tuple[list[int], int]:
        """(token ids of the prompt, tokens that can be generated after it, at most `max_tokens`).

        A plain text that is too long is cut from the left, as in lm-eval, so that all of `max_tokens` can be generated.
        Raises PromptTooLongError where none can be.
        """
        prompt = self.prompt(messages)
        if isinstance(messages, str) and max_tokens < max_model_len:
            prompt = prompt[-(max_model_len - max_tokens) :]
        max_new_tokens = max_model_len - len(prompt)
        if max_new_tokens < 1:
            raise too_long(len(prompt), 1, max_model_len)
        return prompt, min(max_tokens, max_new_tokens)

    def continuation(
        self, messages: Messages | str, text: str, *, end: bool, max_model_len: int
    ) -> list[tuple[list[int], int]]:
        """Token ids to score and where the continuation begins in them; several for a long text without a prompt.

        Plain text has nothing before its first token, so the tokenizer's start token or the end token stands there.
        A plain prompt and its continuation are encoded as one text, since a token may reach across. What is too long
        is cut as in lm-eval: a plain prompt from the left, a text alone into windows. Raises PromptTooLongError for
        the rest.
        """
        first = self.tokenizer.bos_token_id
        prompt = self.prompt(messages) or [self.end_id if first is None else first]
        plain = messages if isinstance(messages, str) else ""
        rest = self.prompt(plain + text)[len(prompt) :] if plain else self.encode(text)
        rest += [self.end_id] if end else []
        most = max_model_len - 1  # one is generated, whether it is wanted or not
        if len(prompt) + len(rest) <= most:
            return [(prompt + rest, len(prompt))]
        if not messages:
            return _windows(prompt + rest, most)
        if plain and len(rest) < most:
            return [((prompt + rest)[-most:], most - len(rest))]
        raise too_long(len(prompt) + len(rest), 1, max_model_len)

    def text(self, tokens: list[int]) -> str:
        """Text without special tokens."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True))


def too_long(tokens: int, needed: int, max_model_len: int) -> PromptTooLongError:
    """The error for a prompt that leaves no room."""
    return PromptTooLongError(
        f"a prompt of {tokens} tokens leaves no room for {needed} more in max_model_len {max_model_len}",
        "raise pool.max_model_len, or shorten the prompt",
    )


def _windows(tokens: list[int], size: int) -> list[tuple[list[int], int]]:
    """Every token but the first in one window, the last window with as much before it as fits (lm-eval's rule)."""
    windows = [(tokens[:size], 1)]
    for start in range(size, len(tokens), size - 1):
        stop = min(start + size - 1, len(tokens))
        windows.append((tokens[stop - size : stop], size - (stop - start)))
    return windows


def _end_of_turn(tokenizer: Any) -> int:
    """The first special token after an assistant turn in the template."""
    mark = "superalign-end-of-turn-mark"
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": mark}]
    rest = tokenizer.apply_chat_template(turns, tokenize=False).split(mark, 1)[-1]
    special = set(tokenizer.all_special_ids) | set(tokenizer.get_added_vocab().values())
    for token in tokenizer.encode(rest, add_special_tokens=False):
        if token in special:
            return int(token)
    return int(tokenizer.eos_token_id)
