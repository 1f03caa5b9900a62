"""Filters give what pandas itself gives."""

import datetime
import operator
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mistral_nb.errors import InvalidOption
from mistral_nb.tools.frame_columns import table_of
from mistral_nb.tools.frame_rows import Filter, rows_that_meet

COMPARISONS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
DAYS = st.datetimes(*(datetime.datetime(year, 1, 1) for year in (1990, 2050)))  # noqa: DTZ001  # as most frames have them
COLUMNS: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "whole": ("Int64", st.integers(-100, 100)),
    "real": ("float64", st.floats(-100, 100)),
    "text": ("str", st.text("abAB é", max_size=4)),
    "day": ("datetime64[us]", DAYS),
    "zoned": ("datetime64[us, Europe/Paris]", DAYS),
    "objects": ("object", st.text("abAB é", max_size=4)),
}


def matching(column: "pd.Series[Any]", operator_: Any, value: Any = None) -> list[int]:
    table = table_of(pd.DataFrame({"x": column}))
    return list(rows_that_meet(table, [Filter(column="x", operator=operator_, value=value)]).index)


@settings(deadline=None)
@given(st.data(), st.sampled_from(sorted(COLUMNS)), st.sampled_from(sorted(COMPARISONS)), st.booleans())
def test_comparisons_are_pandas_own(data: st.DataObject, kind: str, comparison: str, is_text: bool) -> None:
    dtype, values = COLUMNS[kind]
    rows = data.draw(st.lists(values | st.none(), max_size=8))
    value = data.draw(values | st.sampled_from([row for row in rows if row is not None] or [data.draw(values)]))
    column = _column(rows, dtype)
    expected = value
    if kind in {"day", "zoned"}:
        expected = pd.Timestamp(value, tz="Europe/Paris" if kind == "zoned" else None)
    is_met = COMPARISONS[comparison](column.dropna(), expected)
    given_value = str(value) if is_text or kind in {"day", "zoned"} else value

    assert matching(column, comparison, given_value) == list(is_met[is_met.astype(bool)].index)


def _column(rows: list[Any], dtype: str) -> "pd.Series[Any]":
    if dtype.startswith("datetime64"):
        moments = pd.Series(rows, dtype="datetime64[us]")
        return (
            moments.dt.tz_localize("Europe/Paris", ambiguous=True, nonexistent="shift_forward")
            if "," in dtype
            else moments
        )
    return pd.Series(rows, dtype=dtype)


@settings(deadline=None)
@given(st.lists(st.integers(-3, 3) | st.none(), max_size=8), st.lists(st.integers(-3, 3), max_size=3))
def test_in_and_not_in_part_the_known_values(rows: list[int | None], wanted: list[int]) -> None:
    column = pd.Series(rows, dtype="Int64")
    known = column.dropna()

    assert matching(column, "in", wanted) == list(known[known.isin(wanted)].index)
    assert matching(column, "not in", list(map(str, wanted))) == list(known[~known.isin(wanted)].index)


@settings(deadline=None)
@given(st.lists(st.text("abAB.*", max_size=4) | st.none(), max_size=8), st.text("abAB.*", max_size=2))
def test_contains_looks_for_the_very_text_in_any_case(rows: list[str | None], part: str) -> None:
    expected = [number for number, row in enumerate(rows) if row is not None and part.lower() in row.lower()]

    assert matching(pd.Series(rows, dtype="str"), "contains", part) == expected


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=True), max_size=8))
def test_missing_and_not_missing_part_the_rows(rows: list[float]) -> None:
    column = pd.Series(rows, dtype="float64")

    assert matching(column, "is missing") == list(column[column.isna()].index)
    assert matching(column, "is not missing") == list(column[column.notna()].index)


@pytest.mark.parametrize("comparison", [*COMPARISONS, "in", "not in", "contains"])
def test_a_missing_value_meets_no_comparison(comparison: str) -> None:
    value: Any = ["b"] if "in" in comparison.split() else "b"

    assert 1 not in matching(pd.Series(["a", None, "b"]), comparison, value)


def test_filters_are_joined_by_and() -> None:
    table = table_of(pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "y"]}))
    filters = [Filter(column="b", operator="==", value="y"), Filter(column="a", operator="<", value=3)]

    assert rows_that_meet(table, filters)["a"].tolist() == [2]


@pytest.mark.parametrize(
    ("column", "comparison", "value", "expected"),
    [
        (pd.Series([True, False, None], dtype="boolean"), "==", "yes", [0]),
        (pd.Series([True, False]), "!=", True, [1]),
        (pd.Series(pd.Categorical(["low", "high"], ["low", "high"], ordered=True)), ">", "low", [1]),
        (pd.Series(pd.Categorical([3, 1, 2])), ">=", "2", [0, 2]),
        (pd.to_timedelta(pd.Series(["1h", "3h"])), ">", "90min", [1]),
        (pd.Series([datetime.date(2024, 1, 1), datetime.date(2025, 1, 1)]), "<", "2024-06-01", [0]),
        (pd.Series([datetime.timedelta(hours=1), datetime.timedelta(hours=3)], dtype=object), "<", "2h", [0]),
        (pd.Series([[1], [2]]), "==", "[2]", [1]),
        (pd.Series(pd.period_range("2024-01", periods=2, freq="M")), "==", "2024-02", [1]),
        (pd.Series([1, 2]), "<", 10**30, [0, 1]),
        (pd.Series([2**53, 2**53 + 1]), "==", str(2**53 + 1), [1]),
        (pd.Series(["a", "b"], dtype="str"), "in", [], []),
        (pd.to_datetime(pd.Series(["2024-01-01"])), "==", "2024-01-01T01:00:00+01:00", [0]),
    ],
)
def test_values_are_compared_as_the_column_is(
    column: "pd.Series[Any]", comparison: str, value: Any, expected: list[int]
) -> None:
    assert matching(column, comparison, value) == expected


@pytest.mark.parametrize(
    ("column", "comparison", "value"),
    [
        (pd.Series([1, 2]), "==", "many"),
        (pd.Series([1, 2]), "==", True),
        (pd.Series([1, 2]), "==", None),
        (pd.Series([1, 2]), "==", "nan"),
        (pd.Series([1, 2]), "==", "1_0"),
        (pd.Series([1, 2]), "==", [1]),
        (pd.Series([1, 2]), "in", 1),
        (pd.Series(["a"]), "contains", None),
        (pd.Series([True]), "==", "maybe"),
        (pd.Series([True]), "<", True),
        (pd.Series([[1]]), "<", "[1]"),
        (pd.to_datetime(pd.Series(["2024-01-01"])), ">", "someday"),
        (pd.to_datetime(pd.Series(["2024-01-01"])), ">", "NaT"),
        (pd.to_datetime(pd.Series(["2024-01-01"])), ">", 2024),
        (pd.to_datetime(pd.Series(["2024-01-01"])), ">", "9999999-01-01"),
        (pd.to_timedelta(pd.Series(["1h"])), ">", "long"),
        (pd.to_timedelta(pd.Series(["1h"])), ">", "NaT"),
        (pd.to_timedelta(pd.Series(["1h"])), ">", 3),
        (pd.Series(pd.Categorical(["low"], ["low"], ordered=True)), "==", "huge"),
    ],
)
def test_what_can_not_be_compared_is_said(column: "pd.Series[Any]", comparison: str, value: Any) -> None:
    with pytest.raises(InvalidOption):
        matching(column, comparison, value)
