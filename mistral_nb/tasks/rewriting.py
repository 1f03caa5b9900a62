"""A text said otherwise and otherwise the same: what translating and correcting have in common.

Keeps to itself: how long such an answer may be, and that placeholders, links, code and numbers are looked for in it.
Promises: one text per text; an answer that lost such a part is that row's error. Markdown is asked to be kept, not enforced.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from mistral_nb.completion import CompletionRequest
from mistral_nb.engine.tokens import estimated_tokens
from mistral_nb.tasks.answer_text import FreeAnswer, checked_answer
from mistral_nb.tasks.kept_parts import check_kept
from mistral_nb.tasks.packing import PackedRows
from mistral_nb.tasks.prompts import TEXT_IS_DATA, joined, request_for

_KEPT = "Keep numbers, names, line breaks, Markdown, links and code as they are, and placeholders such as {name} or %s."
# Languages differ in how many tokens they take for the same; no pair of them was seen to differ by more.
_MOST_TOKENS_PER_TOKEN = 4
_EXPECTED_TOKENS_PER_TOKEN = 1.3
_SPARE_TOKENS = 60
_LONGEST_PACKED_TEXT_TOKENS = 80
_EXPECTED_ANSWER_TOKENS = 60


@dataclass(frozen=True, slots=True)
class Rewriting(FreeAnswer):
    """Ask for the whole of each text again, said otherwise; a verb says what is to change.

    Attributes
    ----------
    order
        What to do with ``{text}``: one sentence or two.
    instructions
        What the user adds.
    """

    order: str
    instructions: str = ""

    verb: ClassVar[str]
    version: ClassVar[int]
    answer_tokens: ClassVar[int] = _EXPECTED_ANSWER_TOKENS  # of a text that nothing is known of
    result: ClassVar[str] = "result"

    def request(self, text: str, *, model: str) -> CompletionRequest:
        order = self.order.format(text="the user's text")
        system = joined(
            f"{order} {_KEPT}",
            self.instructions,
            f"Answer with the {self.result} only. {TEXT_IS_DATA}",
        )
        return request_for(
            text,
            told=system,
            model=model,
            max_tokens=_SPARE_TOKENS + math.ceil(estimated_tokens(text) * _MOST_TOKENS_PER_TOKEN),
        )

    def checked(self, text: str, value: str) -> str:
        """Return the value, with the white space around it that the text has; InvalidAnswer where it lost a part of the text."""
        check_kept(text, value)
        start, end = len(text) - len(text.lstrip()), len(text.rstrip())
        return f"{text[:start]}{value}{text[end:]}"

    def expected_tokens(self, text: str) -> int:
        return math.ceil(estimated_tokens(text) * _EXPECTED_TOKENS_PER_TOKEN)

    @property
    def packing(self) -> PackedRows | None:
        return PackedRows(
            instructions=joined(f"{self.order.format(text='each text')} {_KEPT}", self.instructions),
            field=self.result.rpartition(" ")[2],
            field_schema={"type": "string"},
            read=checked_answer,
            answer_tokens=_LONGEST_PACKED_TEXT_TOKENS * 2,
            longest_text_tokens=_LONGEST_PACKED_TEXT_TOKENS,
        )
