"""A pandas column in, distinct texts out; values in, a pandas column or several out.

Promises: the result has the column's index, untouched; missing and blank texts come back missing; a column that is not text is
refused with the cast to paste. A dtype that is a mapping of names to dtypes stands for as many columns.
"""

import difflib
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mistral_nb.engine.cache import KeptAnswer
from mistral_nb.engine.dtype_families import in_family, spread
from mistral_nb.engine.rows import ColumnOfRecords, ColumnsOfAnswers, ColumnsOfRecords, DistinctTexts, RowsResult
from mistral_nb.errors import NotText, UnknownColumn
from mistral_nb.nested_dtype import NestedDtype

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


def further_column_of(frame: "pd.DataFrame", key: Any) -> "pd.Series[Any]":
    """Return a column that is named beside the one to read: one of the frame, a level of its index, or a Series as it is.

    Raises
    ------
    UnknownColumn
        There is none of that name, or more than one.
    """
    import pandas as pd

    if isinstance(key, pd.Series):
        return key
    is_name = isinstance(key, Hashable)
    if not is_name:
        raise UnknownColumn(
            f"A {type(key).__name__} is no column's name.",
            "Name a column, or give the values as a Series: pd.Series(values, index=df.index).",
        )
    levels = list(frame.index.names)
    if key is not None and key not in frame.columns and key in levels:
        return frame.index.get_level_values(levels.index(key)).to_series(index=frame.index)
    if isinstance(key, tuple) and key not in frame.columns and all(each in [*frame.columns, *levels] for each in key):
        raise UnknownColumn(f"No column {key!r}.", f"Give several columns as a list: {list(key)!r}.")
    return column_of(frame, key)


def distinct_texts(column: "pd.Series[Any]") -> DistinctTexts:
    """Return the column's texts, each once; missing values (None, NaN, NA) and blank texts are none.

    Raises
    ------
    NotText
        A value is not text, e.g. a number or a list.
    """
    import numpy as np
    import pandas as pd

    name = column.name
    place = "series" if name is None else f"df[{name!r}]"
    cast = f'{place}.astype("string")'
    if not _is_text(column.dtype) and column.dtype != object and not column.isna().all():
        raise NotText(
            f"Column {name!r} has dtype {column.dtype}, not text.", f"If it should be read as text, cast it: {cast}"
        )
    try:
        codes, found = pd.factorize(column)
    except TypeError:  # something that can't be hashed, such as a list
        found = next(value for value in column.array if not isinstance(value, Hashable))
        raise _no_text(name, found, cast) from None
    texts: list[str] = []
    number_of = np.full(len(found) + 1, -1, dtype=np.int64)  # the last place is the one that code -1 looks up
    for code, value in enumerate(found):
        if not isinstance(value, str):
            if pd.isna(value):
                continue
            raise _no_text(name, value, f'{place}.str.decode("utf-8")' if isinstance(value, bytes) else cast)
        if value.strip():
            number_of[code] = len(texts)
            texts.append(value)
    return DistinctTexts(number_of[codes], texts)


def _is_text(dtype: Any) -> bool:
    import pandas as pd

    if isinstance(dtype, pd.ArrowDtype):
        import pyarrow as pa

        kind = dtype.pyarrow_dtype
        return pa.types.is_dictionary(kind) or pd.api.types.is_string_dtype(dtype)
    return isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(dtype)


def texts_to_ask(column: "pd.Series[Any]", further_texts: Sequence[str]) -> DistinctTexts:
    """Return the column's distinct texts, and after them the further ones that are not among them; these only where it has any."""
    texts = distinct_texts(column)
    if not texts.texts:
        return texts
    known = set(texts.texts) if further_texts else set()
    return DistinctTexts(texts.numbers, [*texts.texts, *(text for text in further_texts if text not in known)])


def _no_text(name: object, value: object, cast: str) -> NotText:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:79]}…"
    problem = f"Column {name!r} holds {shown}, a {type(value).__name__}, not text."
    return NotText(problem, f"If it should be read as text, cast it: {cast}")


def values_of(column: "pd.Series[Any]", result: RowsResult, *, dtype: Any) -> "pd.Series[Any] | pd.DataFrame":
    """Return the values with the index of the column that was read, in its family of dtypes; missing where there is none.

    One column of values has the name of the one that was read; several have the names in `dtype`.
    """
    import pandas as pd

    arrays = _value_arrays(result, dtype, like=column.dtype)
    if isinstance(dtype, Mapping | ColumnsOfRecords | ColumnsOfAnswers):
        return pd.DataFrame(arrays, index=column.index, columns=list(arrays))
    return pd.Series(arrays["value"], index=column.index, name=column.name)


def columns_of_labels(dtype: Any) -> set[str]:
    """Return which columns of a dtype's values hold labels in lists or objects; "value" where there is but one column."""
    if isinstance(dtype, ColumnsOfRecords):
        dtype = dtype.dtypes
    elif isinstance(dtype, ColumnOfRecords):
        dtype = dtype.dtype
    columns = dtype if isinstance(dtype, Mapping) else {"value": dtype}
    return {name for name, each in columns.items() if isinstance(each, NestedDtype) and each.are_labels}


def with_new_values(
    values: "pd.Series[Any] | pd.DataFrame", is_new: list[bool], new: "pd.Series[Any] | pd.DataFrame"
) -> "pd.Series[Any] | pd.DataFrame":
    """Return what `values_of` gave, with the new values, one for each row that `is_new` says."""
    import pandas as pd

    changed = values.copy()
    if isinstance(changed, pd.Series):
        changed[is_new] = new.array
    else:
        for name in changed.columns.intersection(new.columns):
            changed[name] = with_new_values(changed[name], is_new, new[name])
    return changed


def failures(index: "pd.Index[Any]", result: RowsResult) -> "pd.DataFrame":
    """Return one line per failed row, indexed as the rows are: error (its class), problem, remedy, is_worth_retrying.

    A value that does without some of its rows has a line for each distinct text of these.
    """
    import numpy as np
    import pandas as pd

    has_failed = np.zeros(len(result.texts.texts) + 1, dtype=bool)
    has_failed[list(result.errors)] = True
    positions = np.flatnonzero(has_failed[result.texts.numbers])
    found = [result.errors[number] for number in result.texts.numbers[positions].tolist()]
    for number, error in result.left_out:
        positions = np.append(positions, np.flatnonzero(result.texts.numbers == number))
        found.append(error)
    words = pd.DataFrame(
        {
            "error": [type(error).__name__ for error in found],
            "problem": [error.problem for error in found],
            "remedy": [error.remedy for error in found],
        },
        index=index[positions],
        dtype="str",
    )
    return words.assign(is_worth_retrying=np.array([error.is_worth_retrying for error in found], dtype=bool))


def details_frame(
    column: "pd.Series[Any]", result: RowsResult, *, dtype: Any, kept: Mapping[int, KeptAnswer]
) -> "pd.DataFrame":
    """Return the values with what is known of each answer, one line per row of the column.

    Parameters
    ----------
    kept
        The answers, by number of the text, that were kept from before.

    Returns
    -------
    DataFrame
        Index of the column, its family of dtypes; columns value (or those of a `dtype` for several), error (class, str),
        from_cache (boolean), model, response_id (str), prompt_tokens, completion_tokens (Int64), cost_usd (Float64),
        latency_seconds (Float64), finish_reason (str). Tokens and cost are what this run paid, so that their sums are its bill: 0
        for rows that took a kept answer, or the answer of an equal row further up. Where values have a column of such a name, the
        answer's gets the suffix "_of_answer".
    """
    import numpy as np
    import pandas as pd

    numbers = result.texts.numbers
    texts = range(len(result.texts.texts))
    paid = [result.paid.get(number) for number in texts]
    answers = [kept.get(number) if row is None else row.answer for number, row in enumerate(paid)]
    is_asked = numbers >= 0
    _, first_positions = np.unique(numbers, return_index=True)
    pays = np.zeros(len(numbers), dtype=bool)
    pays[first_positions] = True
    errors = [type(result.errors[number]).__name__ if number in result.errors else None for number in texts]
    is_kept = [row is None and value is not None for row, value in zip(paid, result.values, strict=True)]

    def of_rows(values: list[Any], dtype: str) -> Any:
        return spread(values, numbers, in_family(dtype, column.dtype))

    def once(values: list[Any], dtype: str) -> Any:
        column_of_values = of_rows(values, dtype)
        column_of_values[is_asked & ~pays] = 0
        return column_of_values

    values = _value_arrays(result, dtype, like=column.dtype)
    of_answer = {
        "error": of_rows(errors, "str"),
        "from_cache": of_rows(is_kept, "boolean"),
        "model": of_rows([answer and answer.model for answer in answers], "str"),
        "response_id": of_rows([answer and answer.response_id for answer in answers], "str"),
        "prompt_tokens": once([0 if row is None else row.prompt_tokens for row in paid], "Int64"),
        "completion_tokens": once([0 if row is None else row.completion_tokens for row in paid], "Int64"),
        "cost_usd": once([0.0 if row is None else _dollars(row.cost_usd) for row in paid], "Float64"),
        "latency_seconds": of_rows([answer and (answer.latency_seconds or None) for answer in answers], "Float64"),
        "finish_reason": of_rows([answer and answer.finish_reason for answer in answers], "str"),
    }
    columns = values | {f"{name}_of_answer" if name in values else name: array for name, array in of_answer.items()}
    return pd.DataFrame(columns, index=column.index)


def _value_arrays(result: RowsResult, dtype: Any, *, like: Any) -> dict[str, Any]:
    """Return the values of all rows, by the name of their column; "value" where they have but one.

    Parameters
    ----------
    like
        The dtype of the column that was read, whose family they have.
    """
    values, numbers = result.values, result.texts.numbers
    if isinstance(dtype, ColumnsOfAnswers):
        dtype = dtype.of([value for value in values if value is not None])
    elif isinstance(dtype, ColumnsOfRecords):
        values = [None if value is None else dtype.cells(value) for value in values]
        dtype = dtype.dtypes
    elif isinstance(dtype, ColumnOfRecords):
        values = [None if value is None else dtype.cell(value) for value in values]
        dtype = dtype.dtype
    if not isinstance(dtype, Mapping):
        return {"value": spread(values, numbers, in_family(dtype, like))}
    return {
        name: spread([None if value is None else value.get(name) for value in values], numbers, in_family(each, like))
        for name, each in dtype.items()
    }


def _dollars(amount: Any) -> float | None:
    return None if amount is None else float(amount)
