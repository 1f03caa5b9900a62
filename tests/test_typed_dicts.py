"""TypedDicts as pydantic reads them on every Python."""

import sys
from typing import Annotated, Literal, NotRequired, Optional, Required, TypedDict

import pytest
from pydantic import TypeAdapter, ValidationError

from mistral_nb import typed_dicts
from mistral_nb.answer_schema import answer_schema
from mistral_nb.errors import InvalidSchema


class Person(TypedDict):
    """Somebody."""

    name: str
    age: NotRequired[int]


class Loose(TypedDict, total=False):
    name: Required[str]
    friend: Person


class Loop(TypedDict):
    inside: "Loop | None"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Person, {"name": "Ada"}),
        (Person, {"name": "Ada", "age": 36}),
        (Loose, {"name": "Ada"}),
        (Loose, {"name": "Ada", "friend": {"name": "Bob"}}),
        (list[Person], [{"name": "Ada"}]),
        (dict[str, list[Person]], {"x": [{"name": "Ada"}]}),
        (Person | None, None),
        (Optional[Person], {"name": "Ada"}),  # noqa: UP045  # the older way to write it is another type
        (Annotated[list[Person], "note"], []),
    ],
)
def test_a_typed_dict_is_read_wherever_it_is(kind: object, value: object) -> None:
    assert TypeAdapter(typed_dicts.readable(kind)).validate_python(value) == value


@pytest.mark.parametrize(("kind", "value"), [(Person, {}), (Loose, {}), (Loose, {"name": "Ada", "friend": {}})])
def test_what_is_required_stays_required(kind: object, value: object) -> None:
    with pytest.raises(ValidationError, match="Field required"):
        TypeAdapter(typed_dicts.readable(kind)).validate_python(value)


def test_a_typed_dict_keeps_its_words() -> None:
    found = typed_dicts.readable(Person)

    assert (found.__name__, found.__doc__, found.__module__) == ("Person", "Somebody.", __name__)


@pytest.mark.parametrize("kind", [int, list[int], Literal["a"], Annotated[int, "note"], int | None, None])
def test_a_type_without_one_stays_the_same(kind: object) -> None:
    assert typed_dicts.readable(kind) is kind


def test_nothing_is_changed_where_pydantic_reads_them_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 12))

    assert typed_dicts.readable(Person) is Person


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic reads it itself from Python 3.12 on")
def test_one_that_contains_itself_is_refused() -> None:
    with pytest.raises(InvalidSchema, match="can't be asked for"):
        answer_schema(Loop)
