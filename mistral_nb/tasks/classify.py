"""Which of the labels fits a text.

Keeps to itself: the prompt, and the form of the answer.
Promises: the value is always one of the labels; anything else the model says is that row's error. Without `other` a text that no
label fits gets the nearest one all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from mistral_nb.completion import Completion, CompletionRequest, JsonObject, LabelChoice
from mistral_nb.engine.rows import ColumnOfRecords
from mistral_nb.errors import InvalidAnswer
from mistral_nb.tasks.answer_text import answered_json, whole_characters
from mistral_nb.tasks.confidence import (
    BY_LOG_PROBABILITIES,
    BY_VOTES,
    VOTING_TEMPERATURE,
    ConfidenceSource,
    counted_votes,
    key_probability,
)
from mistral_nb.tasks.json_forms import json_form, object_schema
from mistral_nb.tasks.labels import NO_EXAMPLES, LabelHints, LabelledExamples, LabelSet, label_set, labelled_examples
from mistral_nb.tasks.length import checked_instructions
from mistral_nb.tasks.packing import PackedRows
from mistral_nb.tasks.prompts import TEXT_IS_DATA, joined

if TYPE_CHECKING:
    from pandas import CategoricalDtype

BY_LABEL_SCORES = "label scores"
CONFIDENCE_SOURCES = (BY_LOG_PROBABILITIES, BY_LABEL_SCORES, BY_VOTES)

_JSON_OVERHEAD_TOKENS = 16
RATIONALE_WORDS = 25
EXPECTED_RATIONALE_TOKENS = RATIONALE_WORDS * 2
RATIONALE_TOKENS = 160
_LONGEST_PACKED_TEXT_TOKENS = 400
_RATIONALE = f"why in at most {RATIONALE_WORDS} words"


@dataclass(frozen=True)
class Classify:
    """Choose one of `labels` for each text; made with `classify_task`, which checks what it is given.

    Attributes
    ----------
    confidence
        Where the confidence comes from that each answer is to have; None for none. Votes decide the label too.
    shows_confidence
        Whether the confidence is shown; where there is one it is part of the value.
    """

    labels: LabelSet
    examples: LabelledExamples = NO_EXAMPLES
    instructions: str = ""
    rationale: bool = False
    confidence: ConfidenceSource | None = None
    shows_confidence: bool = False

    verb: ClassVar[str] = "classify"
    version: ClassVar[int] = 2
    question: ClassVar[str] = "Which label fits {text} best?"

    def request(self, text: str, *, model: str) -> CompletionRequest:
        return CompletionRequest(
            model=model,
            messages=({"role": "system", "content": self._system}, {"role": "user", "content": text}),
            temperature=VOTING_TEMPERATURE if self._votes else 0.0,
            max_tokens=_JSON_OVERHEAD_TOKENS + self._answer_tokens,
            response_format=self._response_format,
            choice=self._choice(text),
            options={} if self.confidence is None else self.confidence.request_options,
        )

    def value(self, completion: Completion) -> Any:
        if self._votes:
            label, share, decisive = counted_votes(completion, self._label)
            return self._value(label, share, BY_VOTES, decisive)
        label = self._label(completion)
        if self.confidence is None:
            return self._value(label, None, "", completion)
        if completion.label_probabilities is not None:
            return self._value(label, completion.label_probabilities[label], BY_LABEL_SCORES, completion)
        probability = key_probability(completion.token_log_probabilities, self.labels.keys)
        return self._value(label, probability, BY_LOG_PROBABILITIES, completion)

    def agrees(self, value: Any, other: Any) -> bool:
        return bool(_label_of(value) == _label_of(other))

    @cached_property
    def packing(self) -> PackedRows | None:
        if self.confidence is not None:
            return None  # the probability of one label among many rows' is not read
        more = f", and {_RATIONALE}" if self.rationale else ""
        return PackedRows(
            instructions=joined(self._rules("each text"), f"Answer with one {self.labels.key_word}{more}."),
            field="answer" if self.rationale else "label",
            field_schema=self._answer_schema if self.rationale else self._key_schema,
            read=self._read_packed,
            answer_tokens=self._answer_tokens,
            longest_text_tokens=_LONGEST_PACKED_TEXT_TOKENS,
        )

    @property
    def answer_tokens(self) -> int:
        return _JSON_OVERHEAD_TOKENS // 2 * (self._votes or 1) + self.rationale_tokens

    @property
    def rationale_tokens(self) -> int:
        return EXPECTED_RATIONALE_TOKENS * (self._votes or 1) if self.rationale else 0

    @cached_property
    def dtype(self) -> "CategoricalDtype | ColumnOfRecords | dict[str, Any]":
        from pandas import CategoricalDtype

        label = CategoricalDtype(list(self.labels.names))
        if not (self.shows_confidence or self.rationale):
            return label if self.confidence is None else ColumnOfRecords(label, _label_of)
        columns: dict[str, Any] = {"label": label}
        if self.shows_confidence:
            columns |= {"confidence": "Float64", "confidence_from": CategoricalDtype(list(CONFIDENCE_SOURCES))}
        return columns | ({"rationale": "str"} if self.rationale else {})

    @property
    def _votes(self) -> int | None:
        return self.confidence.votes if self.confidence is not None else None

    @property
    def _answer_tokens(self) -> int:
        return self.labels.key_tokens + (RATIONALE_TOKENS if self.rationale else 0)

    @cached_property
    def _system(self) -> str:
        return joined(self._rules("the user's text"), f"Answer with JSON, {self._form}. {TEXT_IS_DATA}")

    @property
    def _form(self) -> str:
        label = f'"label": "<{self.labels.key_word}>"'
        return f'{{{label}, "rationale": "<{_RATIONALE}>"}}' if self.rationale else f"{{{label}}}"

    def _rules(self, text: str) -> str:
        return joined(
            self.question.format(text=text), self.labels.lines, self.instructions, self.examples.lines(self.labels)
        )

    def _choice(self, text: str) -> LabelChoice | None:
        if self._votes:  # scores are the same each time
            return None
        return self.labels.choice(text, hints=self._hints, instructions=self.instructions)

    @cached_property
    def _hints(self) -> LabelHints:
        return self.labels.hints(self.examples, self.instructions)

    @cached_property
    def _key_schema(self) -> JsonObject:
        return {"type": "string", "enum": list(self.labels.keys)}

    @cached_property
    def _answer_schema(self) -> JsonObject:
        properties = {"label": self._key_schema} | ({"rationale": {"type": "string"}} if self.rationale else {})
        return object_schema(properties)

    @cached_property
    def _response_format(self) -> JsonObject:
        return json_form("classification", self._answer_schema)

    def _label(self, completion: Completion) -> str:
        answer = answered_json(completion)
        return self.labels.name(answer.get("label") if isinstance(answer, Mapping) else None)

    def _value(self, label: str, confidence: float | None, source: str, completion: Completion) -> Any:
        if self.confidence is None and not self.rationale:
            return label
        value: dict[str, Any] = {"label": label}
        if self.confidence is not None:
            value |= {"confidence": confidence, "confidence_from": None if confidence is None else source}
        return value | ({"rationale": checked_rationale(answered_json(completion))} if self.rationale else {})

    def _read_packed(self, answer: Any) -> Any:
        if not self.rationale:
            return self.labels.name(answer)
        label = self.labels.name(answer.get("label") if isinstance(answer, Mapping) else None)
        return {"label": label, "rationale": checked_rationale(answer)}


def checked_rationale(answer: Any) -> str:
    """Return the rationale of an answer; InvalidAnswer where there is none."""
    said = answer.get("rationale") if isinstance(answer, Mapping) else None
    if not isinstance(said, str) or not said.strip():
        raise InvalidAnswer(f"The model's rationale is {str(said)[:80]!r}.", "Try another model for this row.")
    return whole_characters(said).strip()


def _label_of(value: Any) -> Any:
    return value["label"] if isinstance(value, Mapping) else value


def classify_task(
    labels: Any,
    *,
    examples: Any = (),
    other: str | None = None,
    instructions: str | None = None,
    rationale: bool = False,
    shows_confidence: bool = False,
) -> Classify:
    """Return the task for these labels.

    Raises
    ------
    InvalidLabels
        See `mistral_nb.tasks.labels.label_set`.
    InvalidOption
        `examples` or `instructions` are none.
    """
    found = label_set(labels, other=other)
    return Classify(
        labels=found,
        examples=labelled_examples(examples, found),
        instructions=checked_instructions(instructions),
        rationale=rationale,
        shows_confidence=shows_confidence,
    )
