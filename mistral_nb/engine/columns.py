"""A pandas column in, plain texts out; values in, a pandas column out.

Promises: the result has the column's index, untouched; missing and blank texts are None and come back missing; a column that
is not text is refused with the cast to paste.
"""

import difflib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mistral_nb.engine.rows import RowsResult
from mistral_nb.errors import MistralNotebookError, NotText, UnknownColumn

if TYPE_CHECKING:
    import pandas as pd


def column_of(frame: "pd.DataFrame", column: str) -> "pd.Series[Any]":
    """Return the frame's column of that name.

    Raises
    ------
    UnknownColumn
        There is none, or more than one.
    """
    if not isinstance(column, Hashable):
        raise UnknownColumn(
            f"{column!r} is no column's name.", 'The column comes first, e.g. df.mistral.classify("text", labels).'
        )
    if column not in frame.columns:
        names = [str(name) for name in frame.columns]
        near = difflib.get_close_matches(str(column), names, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise UnknownColumn(f"No column {column!r}.", f"{hint}There are: {', '.join(names) or 'none'}.")
    found = frame[column]
    if found.ndim != 1 and frame.columns.nlevels > 1:
        raise UnknownColumn(
            f"{column!r} names {found.shape[1]} columns.", f"Give the whole name, e.g. {frame.columns[0]!r}."
        )
    if found.ndim != 1:
        raise UnknownColumn(
            f"{found.shape[1]} columns are named {column!r}.", "Rename them, so that each name is used once."
        )
    return found


def texts_of(column: "pd.Series[Any]") -> list[str | None]:
    """Return the column's texts by position; missing values (None, NaN, NA) and blank texts are None.

    Raises
    ------
    NotText
        A value is not text, e.g. a number or a list.
    """
    import pandas as pd

    name = column.name
    place = "series" if name is None else f"df[{name!r}]"
    cast = f'{place}.astype("string")'
    is_text = pd.api.types.is_string_dtype(column.dtype) or isinstance(column.dtype, pd.CategoricalDtype)
    if not is_text and column.dtype != object and not column.isna().all():
        raise NotText(
            f"Column {name!r} has dtype {column.dtype}, not text.", f"If it should be read as text, cast it: {cast}"
        )
    missing = column.isna().to_numpy()
    texts: list[str | None] = []
    for value, is_missing in zip(column.array, missing, strict=True):
        if is_missing:
            texts.append(None)
        elif isinstance(value, str):
            texts.append(value if value.strip() else None)
        else:
            raise _no_text(name, value, f'{place}.str.decode("utf-8")' if isinstance(value, bytes) else cast)
    return texts


def _no_text(name: object, value: object, cast: str) -> NotText:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:79]}…"
    problem = f"Column {name!r} holds {shown}, a {type(value).__name__}, not text."
    return NotText(problem, f"If it should be read as text, cast it: {cast}")


@dataclass(frozen=True, slots=True)
class ColumnRun:
    """One run of a verb over a column.

    Attributes
    ----------
    column
        The values: same index and name as the column that was read, missing where the text was missing or the row failed.
    failed
        One line per failed row, indexed as the rows are: error (class), problem, remedy.
    result
        The run's counts, tokens and seconds, by position.
    """

    column: "pd.Series[Any]"
    failed: "pd.DataFrame"
    result: RowsResult


def column_run(column: "pd.Series[Any]", result: RowsResult, *, dtype: Any) -> ColumnRun:
    """Return the run's result aligned with the column that was read."""
    import pandas as pd

    values = pd.Series(list(result.values), index=column.index, name=column.name, dtype=dtype)
    return ColumnRun(values, _failures(column.index, result.errors), result)


def _failures(index: "pd.Index[Any]", errors: Mapping[int, MistralNotebookError]) -> "pd.DataFrame":
    import pandas as pd

    positions = sorted(errors)
    found = [errors[position] for position in positions]
    return pd.DataFrame(
        {
            "error": [type(error).__name__ for error in found],
            "problem": [error.problem for error in found],
            "remedy": [error.remedy for error in found],
        },
        index=index[positions],
        dtype="str",
    )
