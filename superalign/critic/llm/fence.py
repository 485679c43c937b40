"""Puts attacks and replies between marks that no text can guess or forge, before a critic's model reads them.

After the delimiting of Hines et al. 2024 (arXiv 2403.14720), with a new mark for each request.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from superalign.records.rollout import Messages

_OPENS_A_TAG = re.compile(r"<(?=\S)|\[(?=/?[A-Z_]+\])")
"""The start of chat templates' control tokens (`<|im_end|>`, `</s>`, `[INST]`), of tags and of the marks below."""
_MIN_LETTERS = 6
"""Fewest letters and digits of a quotation, if the text has as many: any text contains an `a`."""
_QUOTES = str.maketrans("’‘ʼ´`“”„«»", "'''''\"\"\"\"\"")


@dataclass(frozen=True)
class Fence:
    """One request's mark."""

    mark: str

    def around(self, text: str) -> str:
        """The defused text between marks."""
        return f"<<< {self.mark}\n{defused(text)}\n{self.mark} >>>"


def fence(run_seed: int, *texts: str) -> Fence:
    """A mark derived from the seed and the texts; none of the texts contains it."""
    number = 0
    while True:
        address = "\n".join([str(run_seed), str(number), *texts])
        mark = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        if not any(mark in text.lower() for text in texts):
            return Fence(mark)
        number += 1


def fenced(run_seed: int, **texts: str) -> dict[str, str]:
    """Slots of a prompt: each text between marks made for them all, and the mark itself as `mark`."""
    marks = fence(run_seed, *texts.values())
    return {slot: marks.around(text) for slot, text in texts.items()} | {"mark": marks.mark}


def defused(text: str) -> str:
    """The text with a space after whatever could begin a tag, a mark or a control token."""
    return _OPENS_A_TAG.sub(lambda match: f"{match[0]} ", text)


def conversation_text(messages: Messages) -> str:
    """One line per turn; further lines of a turn are indented, so that none can pose as another turn."""
    return "\n".join(f"{message.role}: " + message.content.replace("\n", "\n    ") for message in messages)


def occurs(quote: str, text: str) -> bool:
    """Whether a text contains a quotation, whatever the case, white space and form of quotation marks."""
    quoted, whole = _bare(quote.strip().strip("\"'“”‘’«»").strip(" .…")), _bare(text)
    return bool(quoted) and _letters(quoted) >= min(_MIN_LETTERS, _letters(whole)) and quoted in whole


def _letters(text: str) -> int:
    return sum(char.isalnum() for char in text)


def _bare(text: str) -> str:
    return "".join(text.translate(_QUOTES).casefold().split())
