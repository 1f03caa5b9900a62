"""Which columns and dtypes a schema has, whatever is said in it."""

import datetime
from decimal import Decimal
from typing import Any, Literal, Optional

import pytest
from pydantic import BaseModel, computed_field

from mistral_nb.answer_schema import answer_schema
from mistral_nb.errors import InvalidAnswer, InvalidSchema
from mistral_nb.schema_columns import check_fits, checked_names, likely_tokens, schema_columns


class Node(BaseModel):
    name: str
    child: Optional["Node"] = None  # a name can't be united with None before it is known


class Line(BaseModel):
    price: Decimal
    count: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> Decimal:
        return self.price * self.count


def dtypes(schema: Any, **options: Any) -> dict[str, Any]:
    return {column.name: column.dtype for column in schema_columns(answer_schema(schema).written, **options)}


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (str, "string"),
        (int | None, "Int64"),
        (int | float, "Float64"),
        (bool, "boolean"),
        (datetime.date | None, "datetime64[us]"),
        (datetime.datetime, "datetime64[us]"),
        (datetime.time, "string"),
        (Decimal, "Float64"),
        (Literal[1, 2], "Int64"),
        (Literal[1, "a"], "object"),
        (int | str, "object"),
        (list[int] | None, "object"),
        (dict[str, int], "object"),
        (Any, "object"),
        (Literal["a", "b"] | None, None),
    ],
    ids=str,
)
def test_each_type_has_a_dtype_that_holds_missing_values(kind: Any, dtype: str | None) -> None:
    assert dtypes({"field": kind}) == {"field": dtype}


def test_an_object_that_may_be_missing_has_columns_all_the_same() -> None:
    assert dtypes({"line": Line | None}) == {
        "line.price": "Float64",
        "line.count": "Int64",
        "line.total": "Float64",
    }


def test_what_a_class_computes_is_a_column() -> None:
    form = answer_schema(Line)
    value = form.plain(form.read('{"price": 2.5, "count": 4}'))

    assert [column.cell(value) for column in schema_columns(form.written)] == [2.5, 4, 10.0]


def test_a_schema_that_contains_itself_ends_in_a_column_of_objects() -> None:
    assert dtypes(Node)["child.child"] == "object"


def test_the_tokens_of_a_schema_that_contains_itself_are_finite() -> None:
    assert 0 < likely_tokens(answer_schema(Node).written) < 500


def test_nested_fields_can_stay_one_column() -> None:
    assert dtypes({"line": Line}, nested="object") == {"line": "object"}


def test_a_value_that_its_column_can_not_hold_is_an_answer_that_does_not_fit() -> None:
    columns = schema_columns(answer_schema({"n": int}).written)
    with pytest.raises(InvalidAnswer, match="larger than a column of whole numbers holds"):
        check_fits(columns, {"n": 2**63})


def test_columns_of_one_name_are_refused() -> None:
    columns = schema_columns(answer_schema({"a": str}).written)
    with pytest.raises(InvalidSchema, match="Two columns would be named 'a'"):
        checked_names([*columns, *columns])
