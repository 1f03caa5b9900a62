"""JSON schemas that a small model comes to an end with.

Keeps to itself: the bounds. Small models run on inside strings and lists for as long as the grammar lets them.
Promises: every text that fits the bounded schema fits the original one; a bound that the schema states itself is kept.
"""

from collections.abc import Mapping
from typing import Any

MAX_STRING_CHARACTERS = 400
MAX_ITEMS = 20

_BY_NAME = ("properties", "$defs", "definitions", "patternProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")
_FIXED = ("enum", "const", "format", "pattern", "maxLength", "$ref")

# Any JSON object, with the same bounds: the engine's own grammar for it has none.
ANY_OBJECT_GRAMMAR = rf"""root ::= object
value ::= object | array | string | number | ("true" | "false" | "null") space
object ::= "{{" space (string ":" space value ("," space string ":" space value){{0,{MAX_ITEMS - 1}}})? "}}" space
array ::= "[" space (value ("," space value){{0,{MAX_ITEMS - 1}}})? "]" space
string ::= "\"" character{{0,{MAX_STRING_CHARACTERS}}} "\"" space
character ::= [^"\\\x7F\x00-\x1F] | [\\] (["\\bfnrt] | "u" [0-9a-fA-F]{{4}})
number ::= "-"? ("0" | [1-9] [0-9]{{0,15}}) ("." [0-9]{{1,15}})?  space
space ::= | " " | "\n" [ \t]{{0,20}}
"""


def bounded(schema: Mapping[str, Any], *, max_string_characters: int = MAX_STRING_CHARACTERS) -> dict[str, Any]:
    """Return the schema with a longest length for every string, and for every list, that has none."""

    def bound(value: Any) -> Any:
        return bounded(value, max_string_characters=max_string_characters) if isinstance(value, Mapping) else value

    result = dict(schema)
    for key in _BY_NAME:
        if isinstance(result.get(key), Mapping):
            result[key] = {name: bound(value) for name, value in result[key].items()}
    for key in _LISTS:
        if isinstance(result.get(key), list):
            result[key] = [bound(value) for value in result[key]]
    for key in _SINGLE:
        if key in result:
            result[key] = bound(result[key])
    kinds = result.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds or []
    if "string" in kinds and not any(key in result for key in _FIXED):
        result["maxLength"] = max(max_string_characters, int(result.get("minLength", 0)))
    if "array" in kinds and "maxItems" not in result and "prefixItems" not in result:
        result["maxItems"] = max(MAX_ITEMS, int(result.get("minItems", 0)))
    return result
