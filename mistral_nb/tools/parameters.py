"""A function's parameters as a JSON schema, and a model's arguments as values for them.

Keeps to itself: the pydantic model between the two.
Promises: the schema is closed (no further arguments), names the parameters as the function does, and is called strict only when it
leaves nothing open; arguments that were read fit the annotations, and a parameter that the model left out is left to the
function's own default.
"""

import inspect
import json
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Optional

from mistral_nb.completion import JsonObject
from mistral_nb.engine.chat_request import shortened
from mistral_nb.errors import InvalidAnswer, InvalidOption
from mistral_nb.tools.docstrings import Described

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

_SHOWN_ERRORS = 10
# Where a schema holds schemas by name, and where values that only look like schemas.
_SCHEMAS_BY_NAME = {"properties", "$defs", "patternProperties"}
_VALUES = {"default", "const", "enum", "examples"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parameters:
    """What a function takes; made by `parameters_of`.

    Attributes
    ----------
    schema
        JSON schema of an object with one property for each parameter.
    is_strict
        Whether every object of the schema is closed and has all of its properties.
    """

    schema: JsonObject
    is_strict: bool
    _model: "type[BaseModel]"
    _fields: Mapping[str, str]
    _always_given: frozenset[str]

    def read(self, arguments: str) -> dict[str, Any]:
        """Return the values of the arguments that a model wrote, by parameter.

        Raises
        ------
        InvalidAnswer
            They are no JSON, or not what the schema asks for; the message names each of them.
        """
        from pydantic import ValidationError

        try:
            read = self._model.model_validate_json(arguments.strip() or "{}")
        except ValidationError as error:
            invalid = InvalidAnswer(_readable(error), f"Arguments have this schema: {json.dumps(self.schema)}")
        else:
            given = self._always_given | read.model_fields_set
            return {name: getattr(read, field) for name, field in self._fields.items() if field in given}
        raise invalid


def parameters_of(
    function: Callable[..., Any], *, name: str, described: Described, annotations: Mapping[str, Any] | None = None
) -> Parameters:
    """Return what a function takes.

    Parameters
    ----------
    function
        A function, bound method or `functools.partial` (what that fixes by keyword is not the model's to choose).
    name
        What messages call it.
    described
        Its docstring; a parameter's own ``Field(description=…)`` comes first.
    annotations
        Types by parameter, in place of the function's own.

    Raises
    ------
    InvalidOption
        A parameter has no annotation, or one that is no JSON; or there are ``*args`` or ``**kwargs``.
    """
    from pydantic import ConfigDict, Field, create_model
    from pydantic.errors import PydanticUserError
    from pydantic.json_schema import GenerateJsonSchema

    class Schema(GenerateJsonSchema):
        """Leaves a default that is no JSON out without a warning."""

        ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  # pydantic's own form

    accepted = _accepted(function, name=name)
    types = annotations if annotations is not None else _annotations(function, name=name)
    # Fields have names of their own: a parameter may be called `copy`, `json` or `_id`, which a pydantic field may not.
    fields = {parameter.name: f"parameter_{number}" for number, parameter in enumerate(accepted)}
    definitions: dict[str, Any] = {}
    for parameter in accepted:
        kind, alias = _type_of(parameter, types, name=name), parameter.name
        kind = Annotated[kind, Field(alias=alias, validation_alias=alias, serialization_alias=alias)]
        definitions[fields[alias]] = (kind, ... if parameter.default is parameter.empty else parameter.default)
    try:
        model = create_model(name, __config__=ConfigDict(extra="forbid"), **definitions)
        schema = _untitled(model.model_json_schema(schema_generator=Schema))
    except PydanticUserError as error:
        raise InvalidOption(
            f"A parameter of {name} has a type that JSON can't hold: {str(error).splitlines()[0]}",
            "Use text, numbers, bool, dates, lists, Literal, Enum, dataclasses or pydantic models.",
        ) from None
    for parameter_name, text in described.parameters.items():
        if parameter_name in schema["properties"]:
            schema["properties"][parameter_name].setdefault("description", text)
    return Parameters(
        schema=schema,
        is_strict=all(_is_closed(inner) for inner in _objects(schema)),
        _model=model,
        _fields=fields,
        _always_given=frozenset(
            fields[parameter.name] for parameter in accepted if parameter.default is parameter.empty
        ),
    )


def _accepted(function: Callable[..., Any], *, name: str) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise InvalidOption(
            f"The parameters of {name} are not known to Python.", "Wrap it in a function with annotated parameters."
        ) from None
    for parameter in parameters:
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise InvalidOption(
                f"{name} takes {parameter}, and a model must know what it can give.",
                "Name the parameters, each with a type.",
            )
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise InvalidOption(
                f"{name} takes {parameter.name!r} by position only.", "Take the / out of its parameters."
            )
    fixed = function.keywords if isinstance(function, partial) else {}
    return [parameter for parameter in parameters if parameter.name not in fixed]


def _annotations(function: Callable[..., Any], *, name: str) -> dict[str, Any]:
    """Return the annotations of a function's parameters, evaluated; what it returns may be anything."""
    while isinstance(function, partial):
        function = function.func
    function = function if hasattr(function, "__annotations__") else type(function).__call__
    written = {key: value for key, value in inspect.get_annotations(function).items() if key != "return"}
    names = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return typing.get_type_hints(
            type("Parameters", (), {"__annotations__": written}), globalns=names, localns={}, include_extras=True
        )
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise InvalidOption(
            f"An annotation of {name} can't be evaluated: {error}.",
            "Define the type at the top level of the notebook, above the function.",
        ) from None


def _type_of(parameter: inspect.Parameter, types: Mapping[str, Any], *, name: str) -> Any:
    from pydantic.fields import FieldInfo

    if parameter.name not in types:
        raise InvalidOption(
            f"Parameter {parameter.name!r} of {name} has no type, so what a model gives for it could not be checked.",
            f"Annotate it, e.g. {parameter.name}: str",
        )
    if isinstance(parameter.default, FieldInfo):
        raise InvalidOption(
            f"The default of parameter {parameter.name!r} of {name} is a pydantic Field.",
            f"Put the Field into the annotation: {parameter.name}: Annotated[str, Field(…)]",
        )
    # `limit: int = None` is common, and means that it may be None.
    return Optional[types[parameter.name]] if parameter.default is None else types[parameter.name]  # noqa: UP045


def _untitled(schema: Any) -> Any:
    """Return the schema without titles, which repeat the names and cost tokens, and with `required` spelled out."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _SCHEMAS_BY_NAME:
            result[key] = {name: _untitled(inner) for name, inner in value.items()}
        elif key != "title":
            result[key] = value if key in _VALUES else _untitled(value)
    if "properties" in result:
        result.setdefault("required", [])
    return result


def _objects(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every object that the schema describes, itself included."""
    if isinstance(schema, list):
        for item in schema:
            yield from _objects(item)
    elif isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for key, value in schema.items():
            if key in _SCHEMAS_BY_NAME:
                yield from _objects(list(value.values()))
            elif key not in _VALUES:
                yield from _objects(value)


def _is_closed(schema: Mapping[str, Any]) -> bool:
    has_all = set(schema.get("required", ())) == set(schema.get("properties", {}))
    return has_all and schema.get("additionalProperties") is False


def _readable(error: "ValidationError") -> str:
    """Return what is wrong, as the model that wrote the arguments can read it."""
    problems = error.errors(include_url=False, include_context=False)
    lines = []
    for problem in problems[:_SHOWN_ERRORS]:
        place = ".".join(map(str, problem["loc"]))
        given = "" if problem["type"] in {"missing", "json_invalid"} else f", not {shortened(problem['input'])}"
        lines.append(f"{place}: {problem['msg']}{given}" if place else f"{problem['msg']}{given}")
    if len(problems) > _SHOWN_ERRORS:
        lines.append(f"and {len(problems) - _SHOWN_ERRORS} more")
    return "; ".join(lines)
