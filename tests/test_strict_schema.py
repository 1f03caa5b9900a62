"""JSON schemas as models are held to them, and the way back."""

from typing import Any

import pytest

from mistral_nb.errors import InvalidSchema
from mistral_nb.strict_schema import for_grammar, for_hosted, for_reading, strict_schema

TEXT = {"type": "string"}
NODE = {
    "type": "object",
    "properties": {"name": TEXT, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
    "required": ["name", "children"],
}


def record(required: tuple[str, ...] | None = None, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties if required is None else required)}


def asked(schema: Any, keeps: Any = for_hosted) -> Any:
    """Return what is asked for a property of this schema."""
    return strict_schema(record(x=schema)).asked(keeps)["properties"]["x"]


def decoded(schema: Any, value: Any) -> Any:
    return strict_schema(record(x=schema)).decoded({"x": value})["x"]


def test_an_object_is_closed_and_complete() -> None:
    assert strict_schema(record(required=("a",), a=TEXT, b=TEXT)).asked(for_hosted) == {
        "type": "object",
        "properties": {"a": TEXT, "b": {"anyOf": [TEXT, {"type": "null"}]}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({**TEXT, "title": "X", "default": "y", "examples": ["z"], "$comment": "c"}, TEXT),
        ({**TEXT, "description": "what"}, {**TEXT, "description": "what"}),
        ({"const": "a"}, {"enum": ["a"]}),
        ({"type": ["string", "null"]}, {"anyOf": [TEXT, {"type": "null"}]}),
        ({"type": ["string", "null"], "enum": ["a", None]}, {"enum": ["a", None]}),
        ({"oneOf": [TEXT, {"type": "integer"}]}, {"anyOf": [TEXT, {"type": "integer"}]}),
        ({**TEXT, "anyOf": [{"minLength": 1}]}, TEXT),
        ({"items": TEXT}, {"type": "array", "items": TEXT}),
        ({"allOf": [TEXT]}, TEXT),
        (False, {"type": "null"}),
        ({"type": "object", "properties": {}}, {**record(), "additionalProperties": False}),
        ({"type": "object", "additionalProperties": False}, {**record(), "additionalProperties": False}),
    ],
)
def test_a_schema_is_asked_for_in_its_plainest_form(schema: Any, expected: Any) -> None:
    assert asked(schema) == expected


@pytest.mark.parametrize("anything", [{}, True, {"title": "Any"}])
def test_a_value_of_any_kind_is_asked_for_as_a_scalar(anything: Any) -> None:
    assert [branch["type"] for branch in asked(anything)["anyOf"]] == ["string", "number", "boolean", "null"]


@pytest.mark.parametrize(
    ("schema", "hosted", "grammar"),
    [
        ({"type": "array", "items": TEXT, "maxItems": 5}, False, True),
        ({"type": "array", "items": TEXT, "uniqueItems": True}, False, False),
        ({"type": "integer", "minimum": 0}, False, True),
        ({"type": "integer", "multipleOf": 5}, False, False),
        ({**TEXT, "maxLength": 20}, False, True),
        ({**TEXT, "maxLength": 50_000}, False, False),
        ({**TEXT, "format": "date"}, False, True),
        ({**TEXT, "format": "uri"}, False, False),
        ({**TEXT, "pattern": "^[A-Z]{3}$"}, False, True),
        ({**TEXT, "pattern": "[A-Z]{3}"}, False, False),
        ({**TEXT, "pattern": "^[A-Z]+$"}, False, False),
        ({**TEXT, "pattern": "^[A-Z]{3,}$"}, False, False),
        ({**TEXT, "pattern": "^(?=a)a$"}, False, False),
        ({**TEXT, "pattern": r"^\w$"}, False, False),
        ({**TEXT, "pattern": r"^[\d,]$"}, False, False),
    ],
)
def test_a_limit_is_shown_to_all_and_sent_to_whom_knows_it(schema: Any, hosted: bool, grammar: bool) -> None:
    assert [asked(schema, keeps) == schema for keeps in (for_reading, for_hosted, for_grammar)] == [
        True,
        hosted,
        grammar,
    ]


def test_the_grammar_gets_digits_that_it_knows() -> None:
    assert asked({**TEXT, "pattern": r"^[A-Z]{2}-\d{4}$"}, for_grammar) == {**TEXT, "pattern": "^[A-Z]{2}-[0-9]{4}$"}


def test_the_grammar_gets_a_pattern_or_a_length_but_not_both() -> None:
    assert asked({**TEXT, "pattern": "^[a-z]$", "maxLength": 1}, for_grammar) == {**TEXT, "pattern": "^[a-z]$"}


def test_a_pair_is_a_list_for_the_hosted_api_and_a_pair_for_the_grammar() -> None:
    schema = {"type": "array", "prefixItems": [TEXT, {"type": "integer"}, TEXT], "minItems": 3, "maxItems": 3}

    assert asked(schema, for_grammar) == schema
    assert asked(schema) == {"type": "array", "items": {"anyOf": [TEXT, {"type": "integer"}]}}


def test_a_pair_of_older_drafts_is_one_too() -> None:
    schema = {"type": "array", "items": [{"type": "number"}, {"type": "number"}], "additionalItems": False}

    assert asked(schema) == {"type": "array", "items": {"type": "number"}}


def test_free_keys_are_asked_for_as_keys_and_values() -> None:
    found = asked({"type": "object", "additionalProperties": {"type": "number"}})

    assert found["items"]["properties"] == {"key": TEXT, "value": {"type": "number"}}


def test_free_keys_that_are_known_are_optional_names() -> None:
    found = asked({"type": "object", "additionalProperties": TEXT, "propertyNames": {"enum": ["a", "b"]}})

    assert found["properties"] == {name: {"anyOf": [TEXT, {"type": "null"}]} for name in ("a", "b")}


def test_keys_by_pattern_are_free_keys() -> None:
    schema = {"type": "object", "patternProperties": {"^a": TEXT}, "additionalProperties": {"type": "integer"}}

    assert asked(schema)["items"]["properties"]["value"] == {"anyOf": [TEXT, {"type": "integer"}]}


def test_a_schema_that_contains_itself_keeps_its_reference() -> None:
    schema = strict_schema({"$ref": "#/$defs/node", "$defs": {"node": NODE, "unused": TEXT}}).asked(for_hosted)

    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/node"}
    assert list(schema["$defs"]) == ["node"]


@pytest.mark.parametrize("reference", ["#", "#/properties/a~1b", "#/anyOf/0"])
def test_a_reference_to_any_place_becomes_a_definition(reference: str) -> None:
    place = record(**{"a/b": TEXT})
    schema = strict_schema({**place, "anyOf": [TEXT], "properties": {**place["properties"], "x": {"$ref": reference}}})
    name = schema.asked(for_hosted)["properties"]["x"]["anyOf"][0]["$ref"].removeprefix("#/$defs/")

    assert name in schema.asked(for_hosted)["$defs"]


def test_two_definitions_of_one_name_are_kept_apart() -> None:
    schema = record(a={"$ref": "#/$defs/x"}, b={"$ref": "#/definitions/x"})
    found = strict_schema({**schema, "$defs": {"x": TEXT}, "definitions": {"x": {"type": "integer"}}}).asked(for_hosted)

    assert found["$defs"] == {"x": TEXT, "x_2": {"type": "integer"}}


def test_words_beside_a_reference_are_kept() -> None:
    schema = record(a={"$ref": "#/$defs/x", "description": "where it goes"})
    found = strict_schema({**schema, "$defs": {"x": TEXT}}).asked(for_hosted)

    assert found["properties"]["a"] == {"anyOf": [{"$ref": "#/$defs/x"}], "description": "where it goes"}


def test_the_parts_of_an_all_of_are_put_together() -> None:
    base = record(a=TEXT)
    found = asked({"allOf": [base, record(required=(), b=TEXT)], "properties": {"c": TEXT}})

    assert (list(found["properties"]), found["properties"]["a"]) == (["b", "a", "c"], TEXT)


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (record(x={"$ref": "#/$defs/none"}), "leads nowhere"),
        (record(x={"$ref": "https://example.org/schema.json"}), "leads nowhere"),
        (record(x={"$ref": "x"}), "leads nowhere"),
        ({"$ref": "#"}, "leads only to itself"),
        (
            {**record(x={"$ref": "#/$defs/a"}), "$defs": {"a": {"anyOf": [{"allOf": [{"$ref": "#/$defs/a"}]}]}}},
            "without end",
        ),
        (record(), "nothing to fill in"),
        ({"enum": []}, "nothing to fill in"),
    ],
)
def test_what_cannot_be_asked_for_is_said(schema: Any, problem: str) -> None:
    with pytest.raises(InvalidSchema, match=problem):
        strict_schema(schema)


@pytest.mark.parametrize("root", [TEXT, {"type": "array", "items": TEXT}, {"anyOf": [record(a=TEXT), record(b=TEXT)]}])
def test_a_root_that_is_no_object_is_asked_for_inside_of_one(root: Any) -> None:
    assert list(strict_schema(root).asked(for_hosted)["properties"]) == ["answer"]


def test_a_wrapped_answer_is_unwrapped() -> None:
    assert strict_schema(TEXT).decoded({"answer": "yes"}) == "yes"


@pytest.mark.parametrize("answer", ["yes", {"other": "yes"}, ["yes"], None, 3])
def test_an_answer_without_its_wrapping_stays_as_it_is(answer: Any) -> None:
    assert strict_schema(TEXT).decoded(answer) == answer


def test_an_optional_property_that_is_null_is_left_out() -> None:
    schema = record(required=("a",), a={"type": ["string", "null"]}, b=TEXT, c={"type": ["string", "null"]})

    assert strict_schema(schema).decoded({"a": None, "b": None, "c": None}) == {"a": None, "c": None}


def test_keys_and_values_become_an_object() -> None:
    pairs = [{"key": "a", "value": 1}, {"key": "b", "value": 2}]

    assert decoded({"type": "object", "additionalProperties": {"type": "integer"}}, pairs) == {"a": 1, "b": 2}


@pytest.mark.parametrize("value", [{"a": 1}, [1], [{"key": "a"}], "a"])
def test_what_are_no_keys_and_values_stays_as_it_is(value: Any) -> None:
    assert decoded({"type": "object", "additionalProperties": {"type": "integer"}}, value) == value


def test_each_item_of_a_pair_is_read_by_its_own_schema() -> None:
    free = {"type": "object", "additionalProperties": TEXT}
    pairs = [{"key": "a", "value": "b"}]

    assert decoded({"type": "array", "prefixItems": [TEXT, free], "items": free}, ["x", pairs, pairs]) == [
        "x",
        {"a": "b"},
        {"a": "b"},
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"kind": "a", "note": None}, {"kind": "a"}),
        ({"kind": "b", "note": None}, {"kind": "b", "note": None}),
        ({"kind": "c", "note": None}, {"kind": "c", "note": None}),
        ({"count": 1, "note": None}, {"count": 1}),
        ({"kind": None, "note": None}, {"kind": None}),
        ([{"key": "k", "value": None}], {"k": None}),
        ("a", "a"),
        (3, 3),
        (True, True),
        (None, None),
    ],
)
def test_a_union_is_read_by_the_branch_that_fits(value: Any, expected: Any) -> None:
    branches = [
        {"type": "integer"},
        record(required=("kind",), kind={"const": "a"}, note=TEXT),
        record(required=("kind",), kind={"enum": ["b"]}, note={"anyOf": [TEXT, {"type": "null"}]}),
        {"anyOf": [record(required=("count",), count={"type": "number"}, note=TEXT)]},
        {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        {"enum": ["a"]},
        {"type": "boolean"},
        {"type": "null"},
    ]

    assert decoded({"anyOf": branches}, value) == expected


def test_a_union_with_no_branch_that_fits_leaves_the_value() -> None:
    assert decoded({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "x") == "x"
