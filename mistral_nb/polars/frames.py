"""Polars columns in, pandas columns out, and back.

Keeps to itself: Arrow, through which both go, and the index that Polars has not.
Promises: text, numbers and lists are not copied on the way in. On the way back labels are an Enum in their order, lists a List,
objects a Struct, what is missing null; the types do not depend on the values.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import polars as pl

from mistral_nb.errors import NotText

ROW = "row"
# Under which the rows' numbers are the index: what still has it is about rows.
_ROWS = "rows of the Polars frame"
_TEXT_DTYPES = (pl.String, pl.Categorical, pl.Enum, pl.Null)
_CASTS = {
    pl.Binary: "cast(pl.String)",
    pl.List: 'list.join(" ")',
    pl.Array: 'arr.join(" ")',
    pl.Struct: "struct.json_encode()",
}


def text_column(column: pl.Series, *, place: str) -> "pd.Series[Any]":
    """Return a column of text.

    Parameters
    ----------
    place
        How the user has the column, for the cast in an error.

    Raises
    ------
    NotText
        It holds something else.
    """
    if column.dtype not in _TEXT_DTYPES and column.null_count() < len(column):
        text = _text_of_objects(column) if column.dtype == pl.Object else None
        if text is None:
            cast = next((cast for kind, cast in _CASTS.items() if column.dtype == kind), "cast(pl.String)")
            raise NotText(
                f"Column {column.name!r} has dtype {column.dtype}, not text.",
                f"If it should be read as text, cast it: {place}.{cast}",
            )
        column = text
    return _as_pandas(column.cast(pl.String))


def column_of_values(column: pl.Series) -> "pd.Series[Any]":
    """Return a column of whatever kind; an Enum and a Categorical as a category, in their order."""
    if column.dtype in (pl.Categorical, pl.Enum):
        return _indexed(column.to_pandas())
    return _as_pandas(column)


def as_frame(columns: Sequence[pl.Series]) -> pd.DataFrame:
    """Return a frame of columns that are equally long."""
    return pd.DataFrame({column.name: column_of_values(column) for column in columns})


def as_polars(found: "pd.Series[Any] | pd.DataFrame", *, names_rows: bool = False) -> pl.Series | pl.DataFrame:
    """Return what a verb gave; an index that says more than the order of rows becomes columns.

    Parameters
    ----------
    names_rows
        Whether the number of each row is a column, too: "row", where lines are not the rows in their order.
    """
    if isinstance(found, pd.Series):
        return _column(found, "" if found.name is None else str(found.name))
    columns = {str(name): _column(found[name], str(name)) for name in found.columns}
    return pl.DataFrame([*_index_columns(found.index, set(columns), names_rows=names_rows), *columns.values()])


def _text_of_objects(column: pl.Series) -> pl.Series | None:
    values = column.to_list()
    is_text = all(value is None or isinstance(value, str) for value in values)
    return pl.Series(column.name, values, dtype=pl.String) if is_text else None


def _as_pandas(column: pl.Series) -> "pd.Series[Any]":
    try:
        return _indexed(column.to_pandas(use_pyarrow_extension_array=True))
    except (
        ValueError,
        TypeError,
        NotImplementedError,
    ):  # what Arrow has no type for, such as whole numbers of 128 bits
        return _indexed(pd.Series(column.to_list(), name=column.name, dtype=object))


def _indexed(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the column with its rows' numbers as index, and without a name if that is empty."""
    column.index = pd.RangeIndex(len(column), name=_ROWS)
    column.name = column.name or None
    return column


def _index_columns(index: "pd.Index[Any]", taken: set[str], *, names_rows: bool) -> list[pl.Series]:
    is_rows = index.name == _ROWS
    if (is_rows and not names_rows) or (isinstance(index, pd.RangeIndex) and index.name is None):
        return []
    columns = []
    for level in range(index.nlevels):
        keys = index.get_level_values(level)
        name = ROW if is_rows else "key" if keys.name is None else str(keys.name)
        while name in taken:
            name += "_number" if is_rows else "_of_group"
        taken.add(name)
        columns.append(_keys(keys.to_series(), name))
    return columns


def _keys(keys: "pd.Series[Any]", name: str) -> pl.Series:
    """Return the keys of groups; a Categorical, of which Polars makes a category without an order, is one again."""
    column = _column(keys, name)
    is_categorical = isinstance(keys.dtype, pd.CategoricalDtype) and not keys.dtype.ordered
    return column.cast(pl.Categorical) if is_categorical else column


def _column(values: "pd.Series[Any]", name: str) -> pl.Series:
    dtype: Any = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _labels(values, name)
    if isinstance(dtype, pd.ArrowDtype):
        return pl.Series(name, pl.from_arrow(values.array.__arrow_array__()))
    if pd.api.types.is_object_dtype(dtype):
        return pl.Series(name, [None if value is pd.NA else value for value in values], strict=False)
    return pl.Series(name, pl.from_pandas(values.reset_index(drop=True)))


def _labels(values: "pd.Series[Any]", name: str) -> pl.Series:
    categories = values.cat.categories.tolist()
    codes = pl.Series([None if code < 0 else code for code in values.cat.codes.tolist()], dtype=pl.UInt32)
    return pl.Series(name, categories, dtype=pl.Enum(categories)).gather(codes)
