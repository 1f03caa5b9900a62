"""What a text says, in the form of a schema.

Keeps to itself: the prompt.
Promises: a value has passed the schema's own validation and goes into its columns; anything else is asked for again with what is
wrong with it, and then that row's error. Values are kept as JSON, so that nested fields and lists can be shown in any way later
without asking again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mistral_nb.answer_schema import AnswerSchema, answer_schema
from mistral_nb.completion import Completion, CompletionRequest, RowRequest
from mistral_nb.engine.rows import ColumnsOfRecords
from mistral_nb.engine.structured import MAX_REPAIRS, repair_request, structured_request
from mistral_nb.errors import InvalidAnswer, InvalidOption
from mistral_nb.schema_columns import (
    Nested,
    SchemaColumn,
    check_fits,
    checked_names,
    item_columns,
    likely_tokens,
    schema_columns,
)
from mistral_nb.strict_schema import WRAPPED, StrictSchema
from mistral_nb.tasks.answer_text import answered_text, says_the_same
from mistral_nb.tasks.length import checked_count, checked_instructions
from mistral_nb.tasks.packing import PackedRows
from mistral_nb.tasks.prompts import TEXT_IS_DATA, joined, request_for

INSTRUCTIONS = (
    "Extract from the user's text what the schema asks for, in the text's own words where there are any. "
    f"Add nothing that the text does not say. {TEXT_IS_DATA}"
)
# Of what an answer usually has, what it may have: texts and lists have no length of their own.
_ROOM = 6
_FEWEST_MOST_TOKENS = 256
_MOST_MOST_TOKENS = 4096
# Larger objects are asked for alone: rows begin to borrow from their neighbours.
_LARGEST_PACKED_ANSWER_TOKENS = 120
_LONGEST_PACKED_TEXT_TOKENS = 200


@dataclass(frozen=True, slots=True)
class Extract:
    """Extract what a schema asks for from each text; made with `extract_task`.

    Attributes
    ----------
    schema
        The form of an answer.
    columns
        What its values are shown in.
    leaves, items
        What they are shown in when nested fields are columns, too, and by the name of a leaf that holds lists, what one item of it
        is shown in.
    max_tokens
        The longest answer.
    """

    schema: AnswerSchema
    instructions: str
    columns: Sequence[SchemaColumn] = field(hash=False)
    leaves: Sequence[SchemaColumn] = field(hash=False)
    items: Mapping[str, Sequence[SchemaColumn]] = field(hash=False)
    likely_tokens: int
    max_tokens: int
    is_wrapped: bool

    verb: ClassVar[str] = "extract"
    version: ClassVar[int] = 1
    most_corrections: ClassVar[int] = MAX_REPAIRS

    def request(self, text: str, *, model: str) -> CompletionRequest:
        asked = request_for(
            text,
            told=joined(INSTRUCTIONS, self.instructions),
            model=model,
            max_tokens=self.max_tokens,
        )
        return structured_request(asked, self.schema)

    def value(self, completion: Completion) -> dict[str, Any]:
        return self._read(answered_text(completion))

    def correction(self, request: RowRequest, wrong: InvalidAnswer) -> RowRequest:
        assert isinstance(request, CompletionRequest)
        return repair_request(request, wrong)

    def agrees(self, value: Any, other: Any) -> bool:
        if isinstance(value, str) and isinstance(other, str):
            return value == other or says_the_same(value, other)
        if isinstance(value, dict) and isinstance(other, dict):
            return all(self.agrees(value.get(name), other.get(name)) for name in value.keys() | other.keys())
        if isinstance(value, list) and isinstance(other, list):
            return len(value) == len(other) and all(map(self.agrees, value, other))
        return bool(value == other)

    @property
    def packing(self) -> PackedRows | None:
        if self.likely_tokens > _LARGEST_PACKED_ANSWER_TOKENS:
            return None
        told = joined(
            "Extract from each text what the schema asks for, in the text's own words where there are any. "
            "Add nothing that the text does not say.",
            self.instructions,
            f"The schema of each record; null where there is nothing to say:\n{self.schema.shown}\n",
        )
        return PackedRows(
            instructions=told,
            field="record",
            field_schema=self.schema.response_format["json_schema"]["schema"],
            read=lambda record: self._read(json.dumps(record, ensure_ascii=False)),
            answer_tokens=self.max_tokens // 2,
            longest_text_tokens=_LONGEST_PACKED_TEXT_TOKENS,
        )

    @property
    def answer_tokens(self) -> int:
        return self.likely_tokens

    @property
    def dtype(self) -> ColumnsOfRecords:
        return ColumnsOfRecords(
            {column.name: column.pandas_dtype for column in self.columns},
            lambda record: {column.name: column.cell(record) for column in self.columns},
        )

    def _read(self, text: str) -> dict[str, Any]:
        found = self.schema.plain(self.schema.read(text))
        record: dict[str, Any] = {WRAPPED: found} if self.is_wrapped else found
        try:
            check_fits(self.leaves, record, items=self.items)
        except InvalidAnswer as wrong:
            raise InvalidAnswer(wrong.problem, wrong.remedy, text=text, errors=wrong.errors) from None
        return record


def extract_task(
    schema: Any, *, instructions: str | None = None, max_tokens: int | None = None, nested: Nested = "columns"
) -> Extract:
    """Return the task for a schema.

    Raises
    ------
    InvalidSchema
        The schema is none, or can't be asked for.
    InvalidOption
        `nested` is neither "columns" nor "object", `max_tokens` is not a whole number from 1 up, or `instructions` are blank.
    """
    if nested not in ("columns", "object"):
        raise InvalidOption(f"nested is {nested!r}.", 'Give nested="columns" or nested="object".')
    form = answer_schema(schema)
    written: StrictSchema = form.written
    likely = likely_tokens(written)
    room = min(_MOST_MOST_TOKENS, max(_FEWEST_MOST_TOKENS, _ROOM * likely))
    leaves = schema_columns(written, nested="columns")
    return Extract(
        schema=form,
        instructions=checked_instructions(instructions),
        columns=checked_names(schema_columns(written, nested=nested)),
        leaves=leaves,
        items={leaf.name: item_columns(written, leaf) for leaf in leaves if leaf.is_list},
        likely_tokens=likely,
        max_tokens=room if max_tokens is None else checked_count(max_tokens, name="max_tokens"),
        is_wrapped=written.is_wrapped,
    )
