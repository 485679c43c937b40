"""What a critic's model reads of attacks and replies: between marks that no text can guess or write.

The idea is the delimiting of Hines et al. 2024 (arXiv 2403.14720), with a mark of its own for each request.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from superalign.records.rollout import Messages

_OPENS_A_TAG = re.compile(r"<(?=\S)|\[(?=/?[A-Z_]+\])")
"""The start of chat templates' control tokens (`<|im_end|>`, `</s>`, `[INST]`), of tags and of the marks below."""
_QUOTES = str.maketrans("’‘ʼ´`“”„«»", "'''''\"\"\"\"\"")


@dataclass(frozen=True)
class Fence:
    """One request's mark."""

    mark: str

    def around(self, text: str) -> str:
        """The text between marks, with a space after whatever could begin a tag or a control token."""
        return f"<<< {self.mark}\n{defused(text)}\n{self.mark} >>>"


def fence(run_seed: int, *texts: str) -> Fence:
    """A mark that follows from the seed and the very texts it is to fence, and that none of them holds."""
    number = 0
    while True:
        address = "\n".join([str(run_seed), str(number), *texts])
        mark = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        if not any(mark in text.lower() for text in texts):
            return Fence(mark)
        number += 1


def defused(text: str) -> str:
    """The text in which nothing reads as a tag, a mark or a control token."""
    return _OPENS_A_TAG.sub(lambda found: f"{found[0]} ", text)


def conversation_text(messages: Messages) -> str:
    """Turns, a line each; further lines of a turn are indented, so that none can pretend to be another turn."""
    return "\n".join(f"{message.role}: " + message.content.replace("\n", "\n    ") for message in messages)


def occurs(quote: str, text: str) -> bool:
    """Whether a quotation stands in a text, up to case, white space and the form of quotation marks."""
    wanted, there = _bare(quote.strip().strip("\"'“”‘’«»").strip(" .…")), _bare(text)
    return bool(wanted) and _letters(wanted) >= min(_LEAST, _letters(there)) and wanted in there


_LEAST = 6
"""Letters and digits that a quotation has at least, where the text has as many: any text holds an `a`."""


def _letters(text: str) -> int:
    return sum(char.isalnum() for char in text)


def _bare(text: str) -> str:
    return "".join(text.translate(_QUOTES).casefold().split())
