"""A schema in short: names of fields, or names with their types.

Keeps to itself: how the short form is told from a JSON schema.
Promises: every field may stay open, since a text need not say everything; names may be any text.
"""

import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_origin

from mistral_nb.errors import InvalidSchema

_KINDS = (
    'Give names, e.g. ["name", "due"], or names with types, e.g. {"name": str, "amount": float, "topic": ["a", "b"]}.'
)
# What a JSON schema says of itself at its root, and as what.
_KEYWORDS: Mapping[str, type | tuple[type, ...]] = {
    "$defs": Mapping,
    "$ref": str,
    "$schema": str,
    "allOf": list,
    "anyOf": list,
    "const": object,
    "definitions": Mapping,
    "enum": list,
    "items": (Mapping, bool),
    "oneOf": list,
    "properties": Mapping,
    "title": str,
    "type": (str, list),
}


def is_fields(schema: Any) -> bool:
    """Whether a schema is in the short form."""
    if isinstance(schema, Mapping):
        return bool(schema) and not any(
            isinstance(schema.get(keyword), kind) for keyword, kind in _KEYWORDS.items() if keyword in schema
        )
    return isinstance(schema, list | tuple) and bool(schema)


def record_type(schema: Mapping[str, Any] | Sequence[str]) -> Any:
    """Return the TypedDict that the short form stands for.

    Raises
    ------
    InvalidSchema
        A name is no text or stands twice, or a type is none.
    """
    fields = dict(schema) if isinstance(schema, Mapping) else dict.fromkeys(schema, str)
    if len(fields) < len(schema):
        raise InvalidSchema(f"A name stands twice: {list(schema)}.", "Name each field once.")
    for name in fields:
        if not isinstance(name, str) or not name.strip():
            raise InvalidSchema(f"{name!r} is no name of a field.", _KINDS)
    make: Any = typing.TypedDict
    return make("Record", {name: typing.NotRequired[_type_of(name, kind) | None] for name, kind in fields.items()})


def _type_of(name: str, kind: Any) -> Any:
    if isinstance(kind, list | tuple) and kind and all(isinstance(choice, str | int | bool) for choice in kind):
        return Literal[tuple(kind)]
    if isinstance(kind, type) or get_origin(kind) is not None or kind is Any:
        return kind
    raise InvalidSchema(f"The type of {name!r} is {kind!r}.", _KINDS)
