"""A DataFrame as its tools see it: every column with a text for a name, and a kind.

Keeps to itself: which dtypes are what kind, and how a value from a model becomes one that the column can be compared with.
Promises: the frame is not changed, and later changes of it are not seen (pandas copies on write).
"""

import math
from collections.abc import Callable, Container, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mistral_nb.engine.chat_request import shortened
from mistral_nb.errors import InvalidOption

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["number", "boolean", "date", "duration", "ordered", "text", "other"]

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
# Of columns of Python objects, by what pandas finds in them.
_KINDS_OF_OBJECTS: Mapping[str, Kind] = {
    "string": "text",
    "empty": "text",
    "boolean": "boolean",
    "integer": "number",
    "floating": "number",
    "mixed-integer-float": "number",
    "decimal": "number",
    "date": "date",
    "datetime": "date",
    "datetime64": "date",
    "timedelta": "duration",
    "timedelta64": "duration",
}


@dataclass(frozen=True, slots=True)
class Table:
    """The columns by name, and their kinds; rows are numbered from 0."""

    frame: "pd.DataFrame"
    kinds: Mapping[str, Kind]

    def column(self, name: str) -> "pd.Series[Any]":
        column: pd.Series[Any] = self.frame[name]
        return column


def table_of(frame: Any) -> Table:
    """Return a frame as its tools see it; an index that says something comes first, as columns.

    Raises
    ------
    InvalidOption
        It is no DataFrame, or has no columns.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise InvalidOption(f"{shortened(type(frame))} is no DataFrame.", "Give one, e.g. frame_tools(df).")
    columns: list[tuple[Hashable, pd.Series[Any]]] = []
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name is not None:
        for level in range(frame.index.nlevels):
            numbers = frame.index.get_level_values(level)
            columns.append(("index" if numbers.name is None else numbers.name, pd.Series(numbers)))
    columns += [(label, frame.iloc[:, number].reset_index(drop=True)) for number, label in enumerate(frame.columns)]
    if not columns:
        raise InvalidOption("The frame has no columns.", "Give one that has some.")
    tamed: dict[str, pd.Series[Any]] = {}
    kinds: dict[str, Kind] = {}
    for label, values in columns:
        name = free_name(_name(label), tamed)
        tamed[name], kinds[name] = _tamed(values)
    return Table(pd.DataFrame(tamed, copy=False), kinds)


def comparable(table: Table, name: str, value: Any) -> Any:
    """Return a value, a number or a text as a model writes it, as one that the column can be compared with.

    Raises
    ------
    InvalidOption
        The column holds nothing of that kind.
    """
    readers: Mapping[Kind, Callable[[Any], Any]] = {
        "number": _number,
        "boolean": _boolean,
        "date": lambda given: _date(given, table.column(name)),
        "duration": _duration,
        "ordered": lambda given: _category(given, table.column(name)),
        "text": str,
        "other": str,
    }
    try:
        if value is None:
            raise ValueError
        return readers[table.kinds[name]](value)
    except (ValueError, TypeError, OverflowError, KeyError):
        examples = table.column(name).dropna().head(3)
        shown = ", ".join(str(example) for example in examples)
        raise InvalidOption(
            f"{shortened(value)} can't be compared with column {name!r}, which holds {table.kinds[name]} values.",
            f"Its first values: {shortened(shown)}. For missing values use the operator 'is missing'.",
        ) from None


def _name(label: Hashable) -> str:
    parts = label if isinstance(label, tuple) else (label,)
    return " / ".join(str(part) for part in parts) or "(no name)"


def free_name(name: str, taken: Container[str]) -> str:
    """Return the name, with a number behind it where it is taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free


def _tamed(values: "pd.Series[Any]") -> "tuple[pd.Series[Any], Kind]":
    """Return a column's kind, and the column in a dtype of that kind."""
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        if values.dtype.ordered:
            return values, "ordered"
        values = values.astype(values.dtype.categories.dtype)
    kind = _kind_of_dtype(values)
    if kind is not None:
        return values, kind
    kind = _KINDS_OF_OBJECTS.get(pd.api.types.infer_dtype(values, skipna=True), "other")
    try:
        match kind:
            case "number":
                return pd.to_numeric(values.map(float, na_action="ignore"), errors="raise"), kind
            case "boolean":
                return values.astype("boolean"), kind
            case "date":
                return pd.to_datetime(values), kind
            case "duration":
                return pd.to_timedelta(values), kind
            case "text":
                return values.astype("str"), kind
    except (ValueError, TypeError, OverflowError):  # dates of several time zones, or beyond what pandas holds
        pass
    return values, "other"


def _kind_of_dtype(values: "pd.Series[Any]") -> Kind | None:
    """Return the kind that a dtype says by itself, None for Python objects."""
    from pandas.api import types

    if types.is_bool_dtype(values.dtype):
        return "boolean"
    if types.is_numeric_dtype(values.dtype):
        return "other" if types.is_complex_dtype(values.dtype) else "number"
    if types.is_datetime64_any_dtype(values.dtype):
        return "date"
    if types.is_timedelta64_dtype(values.dtype):
        return "duration"
    if isinstance(values.dtype, object) and types.is_object_dtype(values.dtype):
        return None
    return "text" if types.is_string_dtype(values.dtype) else "other"


def _number(given: Any) -> int | float:
    if isinstance(given, bool):
        raise TypeError
    if isinstance(given, str):
        text = given.strip().replace("_", "x")  # which Python would read as nothing
        try:
            return int(text)
        except ValueError:
            given = float(text)
    if isinstance(given, float) and not math.isfinite(given):
        raise ValueError
    number: int | float = given
    return number


def _boolean(given: Any) -> bool:
    return given if isinstance(given, bool) else _BOOLEANS[str(given).strip().lower()]


def _date(given: Any, column: "pd.Series[Any]") -> Any:
    import pandas as pd

    if not isinstance(given, str):
        raise TypeError
    moment = pd.Timestamp(given)
    if pd.isna(moment):
        raise ValueError
    zone = column.dt.tz
    if zone is None:
        return moment.tz_convert("UTC").tz_localize(None) if moment.tzinfo is not None else moment
    return moment.tz_localize(zone) if moment.tzinfo is None else moment


def _duration(given: Any) -> Any:
    import pandas as pd

    span = pd.Timedelta(given) if isinstance(given, str) else None
    if span is None or pd.isna(span):
        raise ValueError
    return span


def _category(given: Any, column: "pd.Series[Any]") -> Any:
    categories = {str(category): category for category in column.cat.categories}
    return categories[str(given)]
