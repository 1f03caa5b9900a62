"""How much of something a text has, as a number.

Keeps to itself: the prompt, and the scale that the model sees: whole numbers, which models place more evenly than fractions.
Promises: a score within the range; anything else is that row's error.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

from mistral_nb.completion import Completion, CompletionRequest, JsonObject
from mistral_nb.engine.chat_request import shortened
from mistral_nb.engine.rows import ColumnOfRecords
from mistral_nb.errors import InvalidAnswer, InvalidOption
from mistral_nb.tasks.answer_text import answered_json
from mistral_nb.tasks.json_forms import json_form, object_schema
from mistral_nb.tasks.length import checked_instructions
from mistral_nb.tasks.packing import PackedRows
from mistral_nb.tasks.prompts import TEXT_IS_DATA, joined, request_for

_SCORE_TOKENS = 8
_JSON_OVERHEAD_TOKENS = 16
_LONGEST_PACKED_TEXT_TOKENS = 300
# A range of whole numbers is shown as it is, if it is about as fine as this; any other is read off a scale from 0 to 100.
_FEWEST_STEPS, _MOST_STEPS = 2, 100
# Of the range: what two answers to one text may differ by and still say the same.
_SAME = 0.1


@dataclass(frozen=True, slots=True)
class Score:
    """Rate each text by `criterion`; made with `score_task`, which checks the range."""

    criterion: str
    low: float
    high: float
    instructions: str = ""

    verb: ClassVar[str] = "score"
    version: ClassVar[int] = 2
    answer_tokens: ClassVar[int] = _SCORE_TOKENS

    @property
    def dtype(self) -> ColumnOfRecords:
        return ColumnOfRecords("Float64", self._in_range)

    def request(self, text: str, *, model: str) -> CompletionRequest:
        system = joined(
            self._rules("the user's text"),
            self.instructions,
            f'Answer with JSON, {{"score": <number>}}. {TEXT_IS_DATA}',
        )
        return request_for(
            text,
            told=system,
            model=model,
            max_tokens=_JSON_OVERHEAD_TOKENS + _SCORE_TOKENS,
            response_format=json_form("score", object_schema({"score": self._score_schema})),
        )

    def value(self, completion: Completion) -> float:
        answer = answered_json(completion)
        return self._read(answer.get("score") if isinstance(answer, Mapping) else None)

    def agrees(self, value: float, other: float) -> bool:
        first, last = self._scale
        return abs(value - other) <= _SAME * (last - first)

    @property
    def packing(self) -> PackedRows:
        return PackedRows(
            instructions=joined(self._rules("each text"), self.instructions, "Answer with the number."),
            field="score",
            field_schema=self._score_schema,
            read=self._read,
            answer_tokens=_SCORE_TOKENS,
            longest_text_tokens=_LONGEST_PACKED_TEXT_TOKENS,
        )

    @property
    def _scale(self) -> tuple[int, int]:
        """The first and the last number of the scale that the model sees."""
        is_whole = self.low.is_integer() and self.high.is_integer()
        if is_whole and _FEWEST_STEPS <= self.high - self.low <= _MOST_STEPS:
            return int(self.low), int(self.high)
        return 0, 100

    @property
    def _score_schema(self) -> JsonObject:
        first, last = self._scale
        return {"type": "integer", "minimum": first, "maximum": last}

    def _rules(self, text: str) -> str:
        first, last = self._scale
        return (
            f"Rate {text} by this criterion: {self.criterion}.\n"
            f"The score is a whole number from {first} (not at all) to {last} (as much as can be)."
        )

    def _read(self, score: Any) -> float:
        """Return the score on the scale that the model sees: ranges that are read off the same scale share kept answers."""
        first, last = self._scale
        if isinstance(score, bool) or not isinstance(score, int | float) or not first <= score <= last:
            raise InvalidAnswer(
                f"The model's score is {str(score)[:80]!r}, not a number from {first} to {last}.",
                "Try another model for this row.",
            )
        return float(score)

    def _in_range(self, score: float) -> float:
        first, last = self._scale
        if (first, last) == (self.low, self.high):
            return score
        # Fractions are rounded, and the sum may end a hair above.
        return min(self.high, self.low + (score - first) / (last - first) * (self.high - self.low))


def _is_float(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def score_task(criterion: Any, *, low: Any = 0, high: Any = 10, instructions: str | None = None) -> Score:
    """Return the task; InvalidOption for a blank criterion, or a range that is none."""
    if not isinstance(criterion, str) or not criterion.strip():
        raise InvalidOption(f"The criterion is {criterion!r}.", 'Say what is rated, e.g. "urgency".')
    for name, value in {"low": low, "high": high}.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not _is_float(value):
            raise InvalidOption(f"{name} is {shortened(value)}.", "Give numbers, e.g. low=0, high=10.")
    if low >= high:
        raise InvalidOption(f"low is {low!r}, and high is {high!r}.", "Give the smaller number as low=.")
    return Score(" ".join(criterion.split()), float(low), float(high), checked_instructions(instructions))
