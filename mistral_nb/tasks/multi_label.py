"""Which labels apply to a text: none, one or several.

Keeps to itself: the prompt, and how votes on several labels are counted.
Promises: every label of a value is one of those given, once, in their order. Where none applies the list is empty, which is not a
missing value, or holds `other` alone where there is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from mistral_nb.completion import Completion, CompletionRequest, JsonObject, LabelChoice
from mistral_nb.engine.rows import ColumnOfRecords, ColumnsOfRecords
from mistral_nb.errors import AnswerProblem, InvalidAnswer, InvalidLabels, Refused
from mistral_nb.nested_dtype import FieldsOf, ListOf, NestedDtype
from mistral_nb.tasks.answer_text import answered_json
from mistral_nb.tasks.classify import (
    BY_LABEL_SCORES,
    CONFIDENCE_SOURCES,
    EXPECTED_RATIONALE_TOKENS,
    RATIONALE_TOKENS,
    RATIONALE_WORDS,
    checked_rationale,
)
from mistral_nb.tasks.confidence import BY_VOTES, VOTING_TEMPERATURE
from mistral_nb.tasks.json_forms import json_form, object_schema
from mistral_nb.tasks.labels import NO_EXAMPLES, LabelHints, LabelledExamples, LabelSet, label_set, labelled_examples
from mistral_nb.tasks.length import checked_instructions
from mistral_nb.tasks.packing import PackedRows
from mistral_nb.tasks.prompts import TEXT_IS_DATA, joined

_JSON_OVERHEAD_TOKENS = 16
_LONGEST_PACKED_TEXT_TOKENS = 400
# A list with each key on a line of its own.
_MORE_TOKENS_PER_LABEL = 4
_EXPECTED_LABELS = 2
_EXPECTED_TOKENS_PER_LABEL = 4
_RATIONALE = f"why in at most {RATIONALE_WORDS} words"


@dataclass(frozen=True)
class ClassifySeveral:
    """Choose all of `labels` that apply to each text; made with `multi_label_task`.

    Attributes
    ----------
    as_columns
        Whether a value is shown as one boolean for each label instead of a list.
    votes
        How often each text is asked; a label applies that more than half of the answers have. None: once.
    shows_confidence
        Whether the share of votes is shown for each label that got one; of scored labels, the probability that each applies.
    """

    labels: LabelSet
    examples: LabelledExamples = NO_EXAMPLES
    instructions: str = ""
    as_columns: bool = False
    rationale: bool = False
    votes: int | None = None
    shows_confidence: bool = False

    verb: ClassVar[str] = "classify"
    version: ClassVar[int] = 3

    def request(self, text: str, *, model: str) -> CompletionRequest:
        return CompletionRequest(
            model=model,
            messages=({"role": "system", "content": self._system}, {"role": "user", "content": text}),
            temperature=VOTING_TEMPERATURE if self.votes else 0.0,
            max_tokens=_JSON_OVERHEAD_TOKENS + self._most_tokens,
            response_format=self._response_format,
            options={"n": self.votes} if self.votes else {},
            choice=self._choice(text),
        )

    def value(self, completion: Completion) -> Any:
        if self.votes:
            return self._voted((completion, *completion.other_choices))
        answer = answered_json(completion)
        return self._value(self._names(answer), completion.label_probabilities, answer)

    def _choice(self, text: str) -> LabelChoice | None:
        if self.votes:  # scores are the same each time
            return None
        return self.labels.choice(text, hints=self._hints, instructions=self.instructions, is_several=True)

    @cached_property
    def _hints(self) -> LabelHints:
        return self.labels.hints(self.examples, self.instructions)

    def agrees(self, value: Any, other: Any) -> bool:
        return self._applying(value) == self._applying(other)

    @cached_property
    def packing(self) -> PackedRows | None:
        if self.votes or self.shows_confidence:
            return None
        more = f", and {_RATIONALE}" if self.rationale else ""
        return PackedRows(
            instructions=joined(
                self._rules("each text"), f"Answer with a list, each time the {self.labels.key_word}{more}."
            ),
            field="answer" if self.rationale else "labels",
            field_schema=self._answer_schema if self.rationale else self._keys_schema,
            read=self._read_packed,
            answer_tokens=self._most_tokens,
            longest_text_tokens=_LONGEST_PACKED_TEXT_TOKENS,
        )

    @property
    def answer_tokens(self) -> int:
        labels = _JSON_OVERHEAD_TOKENS // 2 + _EXPECTED_LABELS * _EXPECTED_TOKENS_PER_LABEL
        return labels * (self.votes or 1) + self.rationale_tokens

    @property
    def rationale_tokens(self) -> int:
        return EXPECTED_RATIONALE_TOKENS * (self.votes or 1) if self.rationale else 0

    @cached_property
    def dtype(self) -> Any:
        from pandas import CategoricalDtype

        shares = NestedDtype(FieldsOf(dict.fromkeys(self.labels.names, "Float64")), are_labels=True)
        several = NestedDtype(ListOf("string"), are_labels=True)
        more: dict[str, Any] = {}
        if self.shows_confidence:
            more = {"confidence": shares, "confidence_from": CategoricalDtype(list(CONFIDENCE_SOURCES))}
        more |= {"rationale": "str"} if self.rationale else {}
        if self.as_columns:
            return ColumnsOfRecords(dict.fromkeys(self.labels.names, "boolean") | more, self._cells)
        return (
            ColumnsOfRecords({"labels": several} | more, self._record)
            if more
            else ColumnOfRecords(several, self._applying)
        )

    @property
    def _most_tokens(self) -> int:
        return len(self.labels.names) * (self.labels.key_tokens + _MORE_TOKENS_PER_LABEL) + (
            RATIONALE_TOKENS if self.rationale else 0
        )

    @cached_property
    def _system(self) -> str:
        return joined(self._rules("the user's text"), f"Answer with JSON, {self._form}. {TEXT_IS_DATA}")

    @property
    def _form(self) -> str:
        labels = f'"labels": ["<{self.labels.key_word}>", …]'
        return f'{{{labels}, "rationale": "<{_RATIONALE}>"}}' if self.rationale else f"{{{labels}}}"

    def _rules(self, text: str) -> str:
        return joined(
            f"Which of these labels apply to {text}? None, one or several may.",
            self.labels.lines,
            self.instructions,
            self.examples.lines(self.labels),
        )

    @cached_property
    def _keys_schema(self) -> JsonObject:
        # Small models repeat a key for as long as they may.
        keys = list(self.labels.keys)
        return {"type": "array", "items": {"type": "string", "enum": keys}, "maxItems": len(keys)}

    @cached_property
    def _answer_schema(self) -> JsonObject:
        properties = {"labels": self._keys_schema} | ({"rationale": {"type": "string"}} if self.rationale else {})
        return object_schema(properties)

    @cached_property
    def _response_format(self) -> JsonObject:
        return json_form("classification", self._answer_schema)

    def _names(self, answer: Any) -> tuple[str, ...]:
        """Return the labels of an answer, each once, in the order given."""
        keys = answer.get("labels") if isinstance(answer, Mapping) else answer
        if not isinstance(keys, list):
            raise InvalidAnswer(f"The model answered {str(keys)[:80]!r}, no list.", "Try another model for this row.")
        return self._in_order({self.labels.name(key) for key in keys})

    def _in_order(self, names: set[str]) -> tuple[str, ...]:
        other = self.labels.other
        if other is not None:
            names = names - {other} or {other}
        return tuple(name for name in self.labels.names if name in names)

    def _voted(self, choices: tuple[Completion, ...]) -> Any:
        answers: list[tuple[tuple[str, ...], Any]] = []
        problem: AnswerProblem | Refused | None = None
        for choice in choices:
            try:
                answer = answered_json(choice)
                answers.append((self._names(answer), answer))
            except (AnswerProblem, Refused) as error:
                problem = problem or error
        if not answers:
            assert problem is not None, "there is one choice at least"
            raise problem
        times = {name: sum(name in names for names, _ in answers) for name in self.labels.names}
        shares = {name: count / len(choices) for name, count in times.items() if count}
        applying = self._in_order({name for name, share in shares.items() if share > 0.5})
        nearest = max(
            answers, key=lambda found: len(set(found[0]) & set(applying)) - len(set(found[0]) ^ set(applying))
        )
        return self._value(applying, shares, nearest[1])

    def _value(self, names: tuple[str, ...], shares: Mapping[str, float] | None, answer: Any) -> Any:
        more: dict[str, Any] = {"confidence": dict(shares)} if shares is not None else {}
        more |= {"rationale": checked_rationale(answer)} if self.rationale else {}
        return {"labels": list(names)} | more if more else list(names)

    def _cells(self, value: Any) -> Mapping[str, Any]:
        more = {name: said for name, said in self._record(value).items() if name != "labels"}
        applying = self._applying(value)
        return more | {name: name in applying for name in self.labels.names}

    def _record(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            return {"labels": value}
        source = BY_VOTES if self.votes else BY_LABEL_SCORES
        return {**value, "confidence_from": source} if "confidence" in value else value

    def _applying(self, value: Any) -> list[str]:
        return list(value["labels"] if isinstance(value, Mapping) else value)

    def _read_packed(self, answer: Any) -> Any:
        return self._value(self._names(answer), None, answer)


def multi_label_task(
    labels: Any,
    *,
    examples: Any = (),
    other: str | None = None,
    instructions: str | None = None,
    as_columns: bool = False,
    rationale: bool = False,
    votes: int | None = None,
    shows_confidence: bool = False,
) -> ClassifySeveral:
    """Return the task for these labels.

    Raises
    ------
    InvalidLabels
        See `mistral_nb.tasks.labels.label_set`; or a label has the name of a further column.
    InvalidOption
        `examples` or `instructions` are none.
    """
    found = label_set(labels, other=other)
    further = (["confidence", "confidence_from"] if shows_confidence else []) + (["rationale"] if rationale else [])
    clash = next((name for name in further if as_columns and name in found.names), None)
    if clash is not None:
        raise InvalidLabels(f"The label {clash!r} has the name of a column of its own.", "Give it another name.")
    return ClassifySeveral(
        labels=found,
        examples=labelled_examples(examples, found, several=True),
        instructions=checked_instructions(instructions),
        as_columns=as_columns,
        rationale=rationale,
        votes=votes,
        shows_confidence=shows_confidence,
    )
