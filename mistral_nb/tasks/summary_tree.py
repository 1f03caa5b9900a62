"""Summaries of any number of texts: of chunks of them, then of those summaries, until one is left.

Keeps to itself: how much one question holds.
Promises: a text that fits the model's window is summarized as it is, a longer one in parts; what is asked of a chunk depends on its
texts alone, so that a kept answer serves as long as they stay together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from mistral_nb.engine.fold import Passage
from mistral_nb.engine.text_groups import TextGroup
from mistral_nb.engine.tokens import estimated_tokens, most_tokens
from mistral_nb.tasks.summarize import Source, Summarize, lines_of
from mistral_nb.tasks.text_parts import chunked, split_text

# More in one question is read with less care, and asked again as a whole when one row changes.
_MOST_CHUNK_TOKENS = 6000
# Of a small window, what a chunk takes at most: an estimate can be half of the real number of tokens.
_CHUNKS_PER_WINDOW = 4
# Where nobody said how much the model reads at once.
_ASSUMED_WINDOW_TOKENS = 8192
_PROMPT_TOKENS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryTree:
    """How texts are folded into one summary; made with `summary_tree`.

    Attributes
    ----------
    task
        The summary that is wanted in the end.
    chunk_tokens
        The most tokens of texts, or of summaries, in one question.
    room_tokens
        The most tokens of a single text.
    tokens
        What counts the tokens of a text whose estimate comes near to that.
    """

    task: Summarize
    chunk_tokens: int
    room_tokens: int
    tokens: Callable[[str], int]

    verb: ClassVar[str] = Summarize.verb
    result_name: ClassVar[str] = "summary"
    dtype: ClassVar[str] = Summarize.dtype

    def fits(self, text: str) -> bool:
        """Whether the model reads the text at once."""
        return most_tokens(text) <= self.room_tokens or self.tokens(text) <= self.room_tokens

    def leaves(self, group: TextGroup) -> list[list[Passage]]:
        if len(group.texts) == 1 and self.fits(group.texts[0]):
            return [[Passage(group.texts[0], group.rows[0], 0, 0)]]
        return self._chunked(
            [
                Passage(part, count, number, number)
                for number, (text, count) in enumerate(zip(group.texts, group.rows, strict=True))
                for part in split_text(text, most_tokens=self.chunk_tokens)
            ]
        )

    def chunks(self, passages: Sequence[Passage]) -> list[list[Passage]]:
        return self._chunked(passages, fewest_items=2)

    def question(
        self, passages: Sequence[Passage], *, level: int, is_last: bool, is_one_text: bool
    ) -> tuple[Summarize, str]:
        task = self.task if is_last else self.task.notes()
        if level == 0 and (is_one_text or len(passages) == 1):
            return task, "".join(passage.text for passage in passages)
        source = Source.TEXTS if level == 0 else Source.PARTS if is_one_text else Source.SUMMARIES
        return task.of(source), lines_of(source, passages)

    def parts(self, passage: Passage) -> list[Passage]:
        size = max(1, estimated_tokens(passage.text) // 2)
        return [replace(passage, text=part) for part in split_text(passage.text, most_tokens=size)]

    def _chunked(self, passages: Sequence[Passage], *, fewest_items: int = 1) -> list[list[Passage]]:
        return chunked(
            passages, text_of=lambda passage: passage.text, most_tokens=self.chunk_tokens, fewest_items=fewest_items
        )


def summary_tree(task: Summarize, *, window_tokens: int | None, tokens: Callable[[str], int]) -> SummaryTree:
    """Return how texts are folded for a model.

    Parameters
    ----------
    task
        The summary that is wanted in the end.
    window_tokens
        How much the model reads and writes at once; None where that is not known.
    tokens
        What counts the model's tokens, or more than there are.
    """
    window = window_tokens or _ASSUMED_WINDOW_TOKENS
    longest_answer = task.notes().request("", model="").max_tokens or 0
    return SummaryTree(
        task=task,
        chunk_tokens=min(_MOST_CHUNK_TOKENS, window // _CHUNKS_PER_WINDOW),
        room_tokens=max(1, window - _PROMPT_TOKENS - longest_answer),
        tokens=tokens,
    )
