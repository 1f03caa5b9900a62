"""The form an answer is asked for, and the reading of answers in that form.

Keeps to itself: which validator goes with which kind of schema (pydantic for types, jsonschema for JSON schemas), and how much of
what models put around their JSON is forgiven: code fences, words before and after, half of an emoji.
Promises: what is read has passed the schema's own validation, every limit and validator included; what has not is an
`InvalidAnswer` whose `errors` a model can act on. What can't be a schema is an `InvalidSchema` before anything is sent.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, get_args

from mistral_nb.errors import InvalidAnswer, InvalidSchema
from mistral_nb.field_schema import is_fields, record_type
from mistral_nb.strict_schema import StrictSchema, for_grammar, for_hosted, for_reading, strict_schema
from mistral_nb.typed_dicts import readable

_SCHEMA_KINDS = (
    "Give a class: a pydantic model, a TypedDict, a dataclass or an Enum; or list[Model], Literal['a', 'b'], or a JSON schema as a "
    "dict. E.g.:\nclass Plan(pydantic.BaseModel):\n    summary: str"
)
_TRY = (
    "Try a larger model, say in the prompt what is meant, or let the schema allow what the text may lack (e.g. str | None = None). "
    "The exception's .text is the answer and .errors all that is wrong with it."
)
_MOST_ERRORS = 8
_LONGEST_ERROR = 200
_FENCED = re.compile(r"```\w*\s*\n?(.*?)```", re.DOTALL)

# Returns the value, or raises _Wrong.
_Validate = Callable[[Any], Any]


class _Wrong(Exception):
    """What is wrong with a value, each as ``field: what is wrong``."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__(errors)
        self.errors = errors


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSchema:
    """The form of an answer; made with `answer_schema`.

    Attributes
    ----------
    name
        The class's name, or the JSON schema's title.
    """

    name: str
    _strict: StrictSchema = field(repr=False)
    _validate: _Validate = field(repr=False)
    _written: Callable[[], StrictSchema] = field(repr=False)
    _plain: Callable[[Any], Any] = field(repr=False)

    @property
    def written(self) -> StrictSchema:
        """The schema of values as `plain` gives them: with the fields' own names, and what a class computes."""
        return self._written()

    def plain(self, value: Any) -> Any:
        """Return a value that `read` gave as JSON can hold it: dicts, lists, texts, numbers, booleans, None."""
        return self._plain(value)

    @property
    def response_format(self) -> dict[str, Any]:
        """The API's `response_format`: a strict JSON schema of the keywords that every server takes."""
        return self._format(self._strict.asked(for_hosted))

    @property
    def local_response_format(self) -> dict[str, Any]:
        """The same for an embedded model: with the limits that its grammar can hold it to."""
        return self._format(self._strict.asked(for_grammar))

    @property
    def shown(self) -> str:
        """The schema as a prompt shows it, every limit and description included, as compact JSON."""
        return json.dumps(self._strict.asked(for_reading), ensure_ascii=False, separators=(",", ":"))

    def read(self, text: str) -> Any:
        """Return the value that an answer stands for, of the type that the schema was made from.

        A JSON schema's value is plain: dict, list, str, number, bool or None.

        Raises
        ------
        InvalidAnswer
            The text is no JSON, or does not fit the schema; its `errors` say where and why.
        """
        try:
            return self._validate(self._strict.decoded(_json_in(text)))
        except _Wrong as wrong:
            errors = [_shortened(error) for error in wrong.errors[:_MOST_ERRORS]]
            if len(wrong.errors) > _MOST_ERRORS:
                errors.append(f"and {len(wrong.errors) - _MOST_ERRORS} more")
        except RecursionError:
            errors = ["The answer is nested too deeply"]
        listed = "\n".join(f"- {error}" for error in errors)
        raise InvalidAnswer(f"The answer does not fit {self.name}:\n{listed}", _TRY, text=text, errors=errors)

    def _format(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        return {"type": "json_schema", "json_schema": {"name": self.name, "schema": schema, "strict": True}}


def answer_schema(schema: Any) -> AnswerSchema:
    """Return the form of answers that a schema describes.

    Parameters
    ----------
    schema
        A pydantic model, a TypedDict, a dataclass, an Enum, ``list[Model]``, ``Literal["a", "b"]``, any other type that pydantic
        knows (``int``, ``date``, ``Model | None``, ``dict[str, float]``), or a JSON schema as a mapping. In short: a mapping of
        names to types (a list stands for a choice), or a list of names. A field with a default may be left open by the model, which
        gives the default; those of the short forms may all be left open.

    Raises
    ------
    InvalidSchema
        It is none of these, it has no field, or one of its fields can't be written as JSON.

    Examples
    --------
    >>> from typing import Literal
    >>> from mistral_nb.answer_schema import answer_schema
    >>> topic = answer_schema(Literal["billing", "bug"])
    >>> topic.read('{"answer": "bug"}')
    'bug'
    """
    if isinstance(schema, AnswerSchema):
        return schema
    if is_fields(schema):
        return _from_type(record_type(schema), shown=schema)
    if isinstance(schema, Mapping):
        return _from_json_schema(schema)
    if schema is None or isinstance(schema, str) or inspect.isroutine(schema):
        raise InvalidSchema(f"The schema is {_shortened(repr(schema))}.", _SCHEMA_KINDS)
    return _from_type(schema)


def _from_type(kind: Any, *, shown: Any = None) -> AnswerSchema:
    """Return the form of a type, which an error shows as it was `shown` by the user."""
    from pydantic import TypeAdapter, ValidationError
    from pydantic.errors import PydanticUserError

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(readable(kind))
        schema = adapter.json_schema(schema_generator=_schema_writer())
        strict = strict_schema(schema)
    except (PydanticUserError, NameError, TypeError, RecursionError) as error:
        # Without pydantic's own advice, which is for the authors of models.
        reason = re.split(r"\n|\. Set `", str(error))[0] if str(error) else "it contains itself"
        raise InvalidSchema(
            f"The schema {_shortened(repr(kind if shown is None else shown))} can't be asked for: {reason}",
            _SCHEMA_KINDS,
        ) from None

    def validate(value: Any) -> Any:
        # As JSON, in which alone strict models take dates and enums; half characters have no UTF-8.
        body = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        try:
            return adapter.validate_json(body, by_alias=True, by_name=True)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False)
            raise _Wrong(
                [_pydantic_error(problem["loc"], problem["msg"], problem["input"]) for problem in found]
            ) from None

    def written() -> StrictSchema:
        try:
            shown = adapter.json_schema(mode="serialization", by_alias=False, schema_generator=_schema_writer())
        except PydanticUserError:  # a serializer of the class's own, of which nothing is known
            return strict
        return StrictSchema(shown)

    def plain(value: Any) -> Any:
        return adapter.dump_python(value, mode="json", by_alias=False, warnings=False)

    name = re.sub(r"\w+\.", "", str(kind)) if get_args(kind) else getattr(kind, "__name__", "")
    return AnswerSchema(name=_name(name), _strict=strict, _validate=validate, _written=written, _plain=plain)


def _schema_writer() -> Any:
    from pydantic.json_schema import GenerateJsonSchema

    class Writer(GenerateJsonSchema):
        ignored_warning_kinds = {"skipped-choice", "non-serializable-default", "skipped-discriminator"}  # noqa: RUF012  # theirs

        def decimal_schema(self, schema: Any) -> dict[str, Any]:
            """Ask for a number alone: a text could have any currency around it."""
            inexact: Any = {
                name: float(value) if isinstance(value, Decimal) else value for name, value in schema.items()
            }
            return self.float_schema(inexact)

    return Writer


def _pydantic_error(location: Sequence[int | str], message: str, value: Any) -> str:
    is_short = isinstance(value, str | int | float | bool) and len(repr(value)) <= 60
    return f"{_place(location)}: {message}{f' (it is {json.dumps(value, ensure_ascii=False)})' if is_short else ''}"


def _from_json_schema(schema: Mapping[str, Any]) -> AnswerSchema:
    from importlib import import_module

    # Neither has types of its own.
    jsonschema, referencing = import_module("jsonschema"), import_module("referencing")
    schema = _plain(schema)
    if not schema:
        raise InvalidSchema(
            "The JSON schema is empty.", 'E.g. {"type": "object", "properties": {"summary": {"type": "string"}}}.'
        )
    checker = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        checker.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise InvalidSchema(
            f"This is no JSON schema: {_place(error.absolute_path)}: {_shortened(error.message)}", _SCHEMA_KINDS
        ) from None
    strict = strict_schema(schema)
    # An empty registry, for else references to addresses would be fetched.
    validator = checker(schema, format_checker=checker.FORMAT_CHECKER, registry=referencing.Registry())

    def validate(value: Any) -> Any:
        value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
        errors = sorted(validator.iter_errors(value), key=lambda error: [str(step) for step in error.absolute_path])
        if errors:
            raise _Wrong([f"{_place(error.absolute_path)}: {error.message}" for error in errors])
        return value

    return AnswerSchema(
        name=_name(str(schema.get("title", ""))),
        _strict=strict,
        _validate=validate,
        _written=lambda: strict,
        _plain=lambda value: value,
    )


def _plain(schema: Any) -> Any:
    """Return a mapping of any kind as JSON would have it; InvalidSchema for what JSON can't say."""
    try:
        return json.loads(json.dumps(schema if isinstance(schema, dict) else dict(schema)))
    except (TypeError, ValueError) as error:
        raise InvalidSchema(f"The schema is no JSON: {error}.", _SCHEMA_KINDS) from None


def _json_in(text: str) -> Any:
    """Return the JSON value in a text: the whole of it, that in a code fence, or what braces enclose."""
    reasons: list[str] = []
    for part in _parts(text):
        try:
            # Raw line ends inside strings, which models write, are no JSON but clear.
            return json.loads(part, strict=False, parse_constant=_not_json)
        except ValueError as error:
            reasons.append(str(error))
    raise _Wrong([f"{_place(())}: it is no JSON: {reasons[0]}" if text.strip() else "The answer is empty"])


def _parts(text: str) -> Iterator[str]:
    yield text
    yield from _FENCED.findall(text)
    if "{" in text and "}" in text:
        yield text[text.index("{") : text.rindex("}") + 1]


def _not_json(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _place(location: Sequence[int | str] | Any) -> str:
    """Return where in the answer something is, as Python would write it: ``items[2].price``."""
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return steps.removeprefix(".") or "The answer"


def _name(name: str) -> str:
    """Return a name that the API takes."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", name).strip("_")[:64] or "answer"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_ERROR else f"{text[: _LONGEST_ERROR - 1]}…"
