"""Several pandas columns in, one text per row out: the row's values by column, as JSON.

Promises: equal rows give equal texts; a row that lacks one of the values has no text, unless something is said to stand for it.
"""

import datetime
import json
import numbers
from collections.abc import Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mistral_nb.engine.dtype_families import text_dtype
from mistral_nb.errors import InvalidOption, NotText, UnknownColumn

if TYPE_CHECKING:
    import pandas as pd

_MIDNIGHT = datetime.time()
# Whole numbers up to here are exact as floats, which is what pandas makes of a column of them with a missing value.
_MOST_EXACT = 2**53


def record_texts(
    frame: "pd.DataFrame", columns: Sequence[str], *, fill: str | Mapping[str, str] | None = None
) -> "pd.Series[Any]":
    """Return the values of these columns as one JSON object per row, with the frame's index, in their family of dtypes.

    Parameters
    ----------
    columns
        Names of columns that there are.
    fill
        What stands for a missing or blank value: one text for all columns, or a text by column. None, or no text for a column:
        a row that lacks the value is missing.

    Raises
    ------
    NotText
        A value is neither text, number, boolean nor date.
    InvalidOption, UnknownColumn
        `fill` is neither a text nor a mapping of these columns to texts.
    """
    import pandas as pd

    fills = _fills(fill, columns)
    written = [_written(frame[name], fills.get(name)) for name in columns]
    records = [None if None in values else record_text(columns, values) for values in zip(*written, strict=True)]
    return pd.Series(records, index=frame.index, dtype=text_dtype(frame[name].dtype for name in columns))


def record_text(columns: Iterable[str], values: Iterable[str | None]) -> str:
    """Return the text of a row that has these values."""
    return json.dumps(dict(zip(columns, values, strict=True)), ensure_ascii=False)


def _fills(fill: Any, columns: Sequence[str]) -> Mapping[str, str]:
    if fill is None:
        return {}
    fills = dict.fromkeys(columns, fill) if isinstance(fill, str) else fill
    if not isinstance(fills, Mapping) or not all(isinstance(text, str) and text.strip() for text in fills.values()):
        raise InvalidOption(
            f"fill is {fill!r}.", 'Give a text that stands for missing values, e.g. fill="unknown", or one by column.'
        )
    for name in fills:
        if name not in columns:
            raise UnknownColumn(f"fill names {name!r}.", f"The template takes: {', '.join(columns)}.")
    return fills


def _written(column: "pd.Series[Any]", fill: str | None) -> list[str | None]:
    """Return each value as text; what is missing or blank as `fill`."""
    import pandas as pd

    try:
        codes, distinct = pd.factorize(column.astype(object))
    except TypeError:  # something that can't be hashed, such as a list
        raise _no_value(next(value for value in column if not isinstance(value, Hashable)), column.name) from None
    texts = [_text_of(value, column.name) for value in distinct]
    filled = [text if text.strip() else fill for text in texts]
    return [fill if code < 0 else filled[code] for code in codes.tolist()]


def _text_of(value: Any, name: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | Decimal):
        return str(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) <= _MOST_EXACT else str(value)
    if isinstance(value, datetime.datetime) and value.time() == _MIDNIGHT and value.tzinfo is None:
        return value.date().isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return str(value)
    raise _no_value(value, name)


def _no_value(value: Any, name: object) -> NotText:
    return NotText(
        f"Column {name!r} holds {repr(value)[:80]}, a {type(value).__name__}.",
        f"Make it text, a number or a date, e.g. df[{name!r}].astype(str).",
    )
