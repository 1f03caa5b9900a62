import dataclasses
import datetime
import enum
import functools
import json
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, create_model

from mistral_nb.errors import InvalidAnswer, InvalidOption
from mistral_nb.tools.function_tool import Tool


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Place(BaseModel):
    model_config = ConfigDict(extra="forbid")
    city: str
    country: str


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


class Connection:
    """A type that pydantic knows nothing of."""


def properties(function: Any) -> dict[str, Any]:
    found: dict[str, Any] = Tool.of(function).accepts.schema["properties"]
    return found


def test_types_become_a_closed_schema() -> None:
    def draw(size: int, colour: Colour, kind: Literal["dot", "line"], tags: list[str]) -> None: ...

    assert Tool.of(draw).accepts.schema == {
        "type": "object",
        "properties": {
            "size": {"type": "integer"},
            "colour": {"$ref": "#/$defs/Colour"},
            "kind": {"type": "string", "enum": ["dot", "line"]},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["size", "colour", "kind", "tags"],
        "additionalProperties": False,
        "$defs": {"Colour": {"type": "string", "enum": ["red", "blue"]}},
    }


def test_a_function_without_parameters_has_a_schema_too() -> None:
    def now() -> str: ...

    assert Tool.of(now).accepts.schema == {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }


def test_a_default_is_told_and_not_required() -> None:
    def head(rows: int = 5) -> None: ...

    schema = Tool.of(head).accepts.schema
    assert (schema["properties"]["rows"]["default"], schema["required"]) == (5, [])


def test_a_default_that_is_no_json_is_left_out() -> None:
    def head(when: datetime.date | None = None, *, marker: Any = object()) -> None: ...  # noqa: B008

    assert "default" not in properties(head)["marker"]


def test_a_schema_is_strict_when_nothing_is_left_open() -> None:
    def closed(place: Place, size: int) -> None: ...
    def open_(place: Place, size: int = 1) -> None: ...

    assert [Tool.of(function).accepts.is_strict for function in (closed, open_)] == [True, False]


def test_an_open_object_inside_is_not_strict() -> None:
    def store(values: dict[str, int]) -> None: ...

    assert not Tool.of(store).accepts.is_strict


def test_only_strict_tools_say_so() -> None:
    def one(size: int) -> None: ...
    def other(size: int = 1) -> None: ...

    assert [Tool.of(function).definition()["function"].get("strict") for function in (one, other)] == [True, None]


def test_the_docstring_describes_the_parameters() -> None:
    def weather(city: str, days: Annotated[int, Field(description="How far ahead.")]) -> None:
        """Tell the weather.

        Parameters
        ----------
        city
            Where.
        days
            Not this: the Field comes first.
        """

    assert {name: entry["description"] for name, entry in properties(weather).items()} == {
        "city": "Where.",
        "days": "How far ahead.",
    }


def test_a_parameter_may_be_called_as_pydantic_calls_its_own() -> None:
    def store(copy: int, json: str, _id: int, model_config: str, title: str) -> dict[str, Any]:
        return {"copy": copy, "json": json, "_id": _id, "model_config": model_config, "title": title}

    given = {"copy": 1, "json": "x", "_id": 2, "model_config": "y", "title": "z"}
    assert Tool.of(store).call(json.dumps(given)) == given
    assert set(properties(store)) == set(given)


def test_arguments_become_what_the_annotations_say() -> None:
    def take(place: Place, point: Point, colour: Colour, day: datetime.date, price: Decimal, tags: set[str]) -> Any:
        return place, point, colour, day, price, tags

    arguments = {
        "place": {"city": "Rome", "country": "Italy"},
        "point": {"x": 1},
        "colour": "blue",
        "day": "2026-11-23",
        "price": "1.50",
        "tags": ["a", "a"],
    }
    assert Tool.of(take).call(json.dumps(arguments)) == (
        Place(city="Rome", country="Italy"),
        Point(1.0),
        Colour.BLUE,
        datetime.date(2026, 11, 23),
        Decimal("1.50"),
        {"a"},
    )


def test_what_the_model_leaves_out_is_the_functions_own_default() -> None:
    marker = object()

    def head(rows: int = 5, *, where: Any = marker) -> Any:
        return rows, where

    assert Tool.of(head).call("") == (5, marker)


def test_none_as_a_default_may_be_given_too() -> None:
    def head(rows: int = None) -> Any:  # type: ignore[assignment]  # noqa: RUF013  # as people write it
        return rows

    assert Tool.of(head).call('{"rows": null}') is None


def test_a_default_that_the_annotation_makes_is_given() -> None:
    def head(rows: Annotated[list[int], Field(default_factory=lambda: [1])]) -> list[int]:
        return rows

    assert Tool.of(head).call("{}") == [1]


def test_what_a_partial_fixes_is_not_the_models_to_choose() -> None:
    def query(text: str, connection: object) -> str:
        """Ask the database."""
        return f"{connection}: {text}"

    tool = Tool.of(functools.partial(query, connection="db"))

    assert (tool.name, tool.description, set(tool.accepts.schema["properties"])) == (
        "query",
        "Ask the database.",
        {"text"},
    )
    assert tool.call('{"text": "x"}') == "db: x"


def test_annotations_may_be_written_as_text() -> None:
    def head(rows: "int", where: "Place | None" = None) -> "NoSuchType": ...  # type: ignore[name-defined]  # noqa: F821

    assert properties(head)["rows"] == {"type": "integer"}


def refused(function: Any) -> str:
    with pytest.raises(InvalidOption) as caught:
        Tool.of(function)
    return str(caught.value)


def test_variable_arguments_are_refused() -> None:
    def many(*args: int) -> None: ...
    def named(**kwargs: int) -> None: ...

    assert "many takes *args: int" in refused(many)
    assert "named takes **kwargs: int" in refused(named)


def test_arguments_by_position_only_are_refused() -> None:
    def first(x: int, /) -> None: ...

    assert "by position only" in refused(first)


def test_a_parameter_without_a_type_is_refused_with_the_line_to_write() -> None:
    def head(rows, where: str = "") -> None: ...  # type: ignore[no-untyped-def]

    assert refused(head).endswith("Annotate it, e.g. rows: str")


def test_a_type_that_json_can_not_hold_is_refused() -> None:
    def run(connection: Connection) -> None: ...

    assert "JSON can't hold" in refused(run)


def test_a_type_that_does_not_exist_is_refused() -> None:
    def head(rows: "NoSuchType") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert "NoSuchType" in refused(head)


def test_a_field_as_a_default_is_refused() -> None:
    def head(rows: int = Field(5)) -> None: ...

    assert "Put the Field into the annotation" in refused(head)


def test_a_function_without_a_known_signature_is_refused() -> None:
    assert "not known to Python" in refused(type)


@pytest.mark.parametrize(
    "arguments", ["[1]", "3", "null", '{"id": ', "id=3", '{"id": "\\ud83d"}', "\ud83d", "[" * 5_000]
)
def test_arguments_that_are_no_object_are_an_invalid_answer(arguments: str) -> None:
    def lookup(id: str) -> str:  # noqa: A002
        return id

    with pytest.raises(InvalidAnswer):
        Tool.of(lookup).call(arguments)


def test_every_wrong_argument_is_named() -> None:
    def lookup(id: int, place: Place) -> None: ...  # noqa: A002

    with pytest.raises(InvalidAnswer) as caught:
        Tool.of(lookup).call('{"id": "x", "place": {"city": 3}}')
    assert caught.value.problem == (
        "id: Input should be a valid integer, unable to parse string as an integer, not 'x'; "
        "place.city: Input should be a valid string, not 3; place.country: Field required"
    )


def test_many_wrong_arguments_are_counted() -> None:
    def add(numbers: list[int]) -> None: ...

    with pytest.raises(InvalidAnswer, match="and 90 more"):
        Tool.of(add).call(json.dumps({"numbers": ["x"] * 100}))


KINDS: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(10**12), 10**12),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(st.characters(exclude_categories=["Cs"])),
    bool: st.booleans(),
    Literal["a", "b"]: st.sampled_from(["a", "b"]),
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.data())
def test_arguments_that_fit_arrive_unchanged(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(list(KINDS)), max_size=4))
    arguments = {f"p{number}": data.draw(KINDS[kind]) for number, kind in enumerate(kinds)}

    take = _with_parameters({f"p{number}": kind for number, kind in enumerate(kinds)})
    assert Tool.of(take).call(json.dumps(arguments)) == arguments


@settings(deadline=None)
@given(JSON_VALUES)
def test_arguments_are_taken_where_pydantic_takes_them(value: Any) -> None:
    text = json.dumps({"p0": value, "p1": "x"})
    expected = create_model("Expected", __config__=ConfigDict(extra="forbid"), p0=(int | list[str], ...), p1=(str, ...))
    take = _with_parameters({"p0": int | list[str], "p1": str})

    try:
        wanted = expected.model_validate_json(text).model_dump()
    except ValueError:
        with pytest.raises(InvalidAnswer):
            Tool.of(take).call(text)
    else:
        assert Tool.of(take).call(text) == wanted


def _with_parameters(types: dict[str, Any]) -> Any:
    """Return a function that takes these and returns them."""
    names: dict[str, Any] = {}
    exec(f"def take({', '.join(types)}): return dict(locals())", names)
    names["take"].__annotations__ = dict(types)
    return names["take"]
