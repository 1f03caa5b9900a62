"""Bounds for small models: whatever fits the bounded schema fits the original one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.backends.embedded.json_schemas import MAX_ITEMS, MAX_STRING_CHARACTERS, bounded


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, {"type": "string", "maxLength": MAX_STRING_CHARACTERS}),
        ({"type": "string", "maxLength": 3}, {"type": "string", "maxLength": 3}),
        ({"type": "string", "minLength": 900}, {"type": "string", "minLength": 900, "maxLength": 900}),
        ({"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["a"]}),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        ({"type": "integer"}, {"type": "integer"}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"], "maxLength": MAX_STRING_CHARACTERS}),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 2}, None),
        ({"type": "array", "minItems": 50}, {"type": "array", "minItems": 50, "maxItems": 50}),
        ({"type": "array"}, {"type": "array", "maxItems": MAX_ITEMS}),
        ({"type": "array", "prefixItems": [{"type": "integer"}]}, None),
        ({"$ref": "#/$defs/A"}, None),
        ({"additionalProperties": False}, None),
    ],
)
def test_only_what_has_no_end_is_bounded(schema: dict[str, Any], expected: dict[str, Any] | None) -> None:
    assert bounded(schema) == (schema if expected is None else expected)


@pytest.mark.parametrize(
    "place",
    [
        lambda inner: {"type": "object", "properties": {"a": inner}},
        lambda inner: {"$defs": {"A": inner}},
        lambda inner: {"definitions": {"A": inner}},
        lambda inner: {"anyOf": [inner, {"type": "null"}]},
        lambda inner: {"oneOf": [inner]},
        lambda inner: {"allOf": [inner]},
        lambda inner: {"type": "array", "maxItems": 1, "items": inner},
        lambda inner: {"type": "array", "prefixItems": [inner]},
        lambda inner: {"type": "object", "additionalProperties": inner},
    ],
)
def test_bounds_reach_every_place(place: Any) -> None:
    assert bounded(place({"type": "string"}), max_string_characters=7) == place({"type": "string", "maxLength": 7})


def test_a_property_that_is_called_like_a_keyword_is_a_property() -> None:
    schema = {"type": "object", "properties": {"items": {"type": "string"}, "enum": {"type": "integer"}}}

    assert bounded(schema)["properties"]["items"]["maxLength"] == MAX_STRING_CHARACTERS


leaves = st.sampled_from(["string", "integer", "boolean", "null", "number"]).map(lambda kind: {"type": kind})
schemas = st.recursive(
    leaves,
    lambda inner: (
        st.dictionaries(st.text(max_size=5), inner, max_size=3).map(lambda p: {"type": "object", "properties": p})
        | inner.map(lambda item: {"type": "array", "items": item})
        | st.lists(inner, min_size=1, max_size=3).map(lambda any_of: {"anyOf": any_of})
    ),
    max_leaves=8,
)


@given(schemas)
def test_bounding_twice_changes_nothing_more(schema: dict[str, Any]) -> None:
    assert bounded(bounded(schema)) == bounded(schema)


@given(schemas)
def test_the_schema_itself_is_left_as_it_was(schema: dict[str, Any]) -> None:
    before = repr(schema)
    bounded(schema)

    assert repr(schema) == before
