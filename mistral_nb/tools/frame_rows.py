"""Which rows of a table meet a model's filters.

Promises: the closed set `Operator`; nothing is evaluated. A row whose value is missing meets "is missing" and nothing else, not
even "!=".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import eq, ge, gt, le, lt, ne, or_
from typing import TYPE_CHECKING, Any, Literal

from mistral_nb.errors import InvalidOption
from mistral_nb.tools.frame_columns import Table, comparable

if TYPE_CHECKING:
    import pandas as pd

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in", "contains", "is missing", "is not missing"]

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
_ORDER = {"<", "<=", ">", ">="}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One condition on one column; `value` is a list for "in" and "not in"."""

    column: str
    operator: Operator
    value: Any = None


def rows_that_meet(table: Table, filters: Sequence[Filter]) -> "pd.DataFrame":
    """Return the rows that meet all filters, in their order.

    Raises
    ------
    InvalidOption
        A value can't be compared with its column.
    """
    rows = table.frame
    for condition in filters:
        rows = rows[_meets(table, rows, condition)]
    return rows


def _meets(table: Table, rows: "pd.DataFrame", condition: Filter) -> "pd.Series[bool]":
    name, values = condition.column, rows[condition.column]
    is_known = values.notna()
    match condition.operator:
        case "is missing":
            return ~is_known
        case "is not missing":
            return is_known
        case "contains":
            if not isinstance(condition.value, str):
                raise InvalidOption(f"'contains' on {name!r} has no text.", 'Give one, e.g. "value": "late".')
            texts = values.astype("str").str.lower()
            return is_known & texts.str.contains(condition.value.lower(), regex=False, na=False)
        case "in" | "not in":
            if not isinstance(condition.value, list):
                raise InvalidOption(
                    f"{condition.operator!r} on {name!r} has no list.", 'Give one, e.g. "value": ["a", "b"].'
                )
            met = [_compared(table, values, "==", value) for value in condition.value]
            is_in: pd.Series[bool] = reduce(or_, met, ~is_known & is_known)
            return is_in if condition.operator == "in" else is_known & ~is_in
    if isinstance(condition.value, list):
        raise InvalidOption(f"{condition.operator!r} on {name!r} has a list.", "Give one value, or use 'in'.")
    if condition.operator in _ORDER and table.kinds[name] in {"boolean", "other"}:
        raise InvalidOption(
            f"Column {name!r} holds {table.kinds[name]} values, which have no order.", "Use == or 'in' with it."
        )
    return _compared(table, values, condition.operator, condition.value)


def _compared(table: Table, values: "pd.Series[Any]", operator: str, value: Any) -> "pd.Series[bool]":
    """Return which values, a column's or some of them, are known and compare so; those of no known kind are compared as texts."""
    name = str(values.name)
    known = values.notna()
    plain = values.astype("str") if table.kinds[name] == "other" else values
    met: pd.Series[bool] = (
        _COMPARISONS[operator](plain, comparable(table, name, value)).fillna(value=False).astype(bool)
    )
    return known & met
