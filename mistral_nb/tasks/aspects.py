"""How a text feels about each of several things it may speak of.

Keeps to itself: the prompt, and the key for what a text does not speak of.
Promises: a sentiment for each aspect, missing where the text does not mention it; an answer that lacks an aspect is that row's
error.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from mistral_nb.completion import Completion, CompletionRequest, JsonObject
from mistral_nb.errors import InvalidAnswer, InvalidOption
from mistral_nb.tasks.answer_text import answered_json
from mistral_nb.tasks.json_forms import json_form, object_schema
from mistral_nb.tasks.labels import LabelSet
from mistral_nb.tasks.length import checked_instructions
from mistral_nb.tasks.packing import PackedRows
from mistral_nb.tasks.prompts import TEXT_IS_DATA, can_be_sent, joined, request_for
from mistral_nb.tasks.sentiment import sentiment_labels

_NOT_MENTIONED = "not mentioned"
_JSON_OVERHEAD_TOKENS = 16
_EXPECTED_TOKENS_PER_ASPECT = 8
_LONGEST_PACKED_TEXT_TOKENS = 300
_EXAMPLE = 'e.g. aspects=["price", "service"]'


@dataclass(frozen=True)
class SentimentOfAspects:
    """Choose the sentiment towards each of `aspects`; made with `aspects_task`."""

    aspects: tuple[str, ...]
    labels: LabelSet
    instructions: str = ""

    verb: ClassVar[str] = "sentiment"
    version: ClassVar[int] = 1

    def request(self, text: str, *, model: str) -> CompletionRequest:
        system = joined(
            self._rules("the user's text"),
            f"Answer with JSON, a {self.labels.key_word} for each aspect. {TEXT_IS_DATA}",
        )
        return request_for(
            text,
            told=system,
            model=model,
            max_tokens=_JSON_OVERHEAD_TOKENS + self._most_tokens,
            response_format=json_form("sentiments", self._schema),
        )

    def value(self, completion: Completion) -> dict[str, str | None]:
        return self._read(answered_json(completion))

    def agrees(self, value: Any, other: Any) -> bool:
        return bool(value == other)

    @cached_property
    def packing(self) -> PackedRows:
        return PackedRows(
            instructions=joined(self._rules("each text"), f"Answer with a {self.labels.key_word} for each aspect."),
            field="sentiments",
            field_schema=self._schema,
            read=self._read,
            answer_tokens=self._most_tokens,
            longest_text_tokens=_LONGEST_PACKED_TEXT_TOKENS,
        )

    @property
    def answer_tokens(self) -> int:
        return len(self.aspects) * _EXPECTED_TOKENS_PER_ASPECT

    @cached_property
    def dtype(self) -> Any:
        from pandas import CategoricalDtype

        sentiments = CategoricalDtype([name for name in self.labels.names if name != _NOT_MENTIONED])
        return dict.fromkeys(self.aspects, sentiments)

    @property
    def _most_tokens(self) -> int:
        # A token is at least one byte; quotes, a colon and a line of its own take six.
        return sum(len(aspect.encode()) + self.labels.key_tokens + 6 for aspect in self.aspects)

    def _rules(self, text: str) -> str:
        return joined(
            f"Which sentiment does {text} express towards each of these aspects?",
            *(f"- {aspect}" for aspect in self.aspects),
            "The sentiments are:",
            self.labels.lines,
            self.instructions,
        )

    @cached_property
    def _schema(self) -> JsonObject:
        key: JsonObject = {"type": "string", "enum": list(self.labels.keys)}
        return object_schema(dict.fromkeys(self.aspects, key))

    def _read(self, answer: Any) -> dict[str, str | None]:
        if not isinstance(answer, Mapping):
            raise InvalidAnswer(
                f"The model answered {str(answer)[:80]!r}, no object.", "Try another model for this row."
            )
        names = {aspect: self.labels.name(answer.get(aspect)) for aspect in self.aspects}
        return {aspect: None if name == _NOT_MENTIONED else name for aspect, name in names.items()}


def aspects_task(
    aspects: Any, *, neutral: bool = True, mixed: bool = True, instructions: str | None = None
) -> SentimentOfAspects:
    """Return the task; InvalidOption for aspects that are no list of different texts, and as in `sentiment_task`."""
    if isinstance(aspects, str) or not isinstance(aspects, Iterable):
        raise InvalidOption(f"aspects is {aspects!r}.", f"Give a list, {_EXAMPLE}.")
    names = tuple(aspects)
    for name in names:
        if not isinstance(name, str) or not name.strip() or len(name.splitlines()) > 1 or not can_be_sent(name):
            raise InvalidOption(f"The aspect {name!r} is no text of one line.", f"Give a list of words, {_EXAMPLE}.")
    if not names or len(set(names)) < len(names):
        raise InvalidOption(f"aspects is {list(names)}.", f"Give each aspect once, at least one, {_EXAMPLE}.")
    labels = sentiment_labels(neutral=neutral, mixed=mixed)
    with_none = LabelSet((*labels.names, _NOT_MENTIONED), (*labels.descriptions, ""))
    return SentimentOfAspects(names, with_none, checked_instructions(instructions))
