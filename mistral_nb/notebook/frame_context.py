"""A frame or a column of the notebook as text in a prompt: a few rows, or what is in it.

Keeps to itself: how many rows, columns and characters are told.
Promises: bounded, saying what was left out; values that can't be written (their `str` fails) do no harm; the frame is only read.
"""

from collections.abc import Callable
from typing import Any, TypeGuard

import pandas as pd

from mistral_nb.counted import counted
from mistral_nb.tools.result_text import MAX_COLUMNS, frame_text

MOST_ROWS = 20
MOST_CHARACTERS = 8_000
ROWS_OF_A_DESCRIPTION = 5
_FEW_VALUES = 8
_MOST_CHARACTERS_OF_A_VALUE = 60
# Counting the distinct values of a longer column would take seconds.
_MOST_ROWS_COUNTED = 200_000

Frame = pd.DataFrame | pd.Series


def is_frame(value: object) -> TypeGuard[Frame]:
    """Whether the value is a pandas DataFrame or Series."""
    return isinstance(value, pd.DataFrame | pd.Series)


def compact(value: Frame, *, name: str) -> str:
    """Return what it is and how large, and its first rows and columns as CSV."""
    if isinstance(value, pd.Series):
        return f"Series {name} ({counted(len(value), 'row')}, dtype {value.dtype}):\n{_csv(value, MOST_ROWS)}"
    return f"DataFrame {name} ({_shape(value)}):\n{_csv(value, MOST_ROWS)}"


def described(value: Frame, *, name: str, rows: int = ROWS_OF_A_DESCRIPTION) -> str:
    """Return what a frame holds: shape, and of each column dtype, missing values and range; then its first rows as CSV.

    With ``rows=0`` no value of the frame is told: neither ranges nor rows.
    """
    frame = value.to_frame() if isinstance(value, pd.Series) else value
    lines = [f"pandas {type(value).__name__} `{name}`: {_shape(frame)}, index: {_index_text(frame.index)}", "Columns:"]
    has_values = rows > 0
    lines += [
        f"- {_shown(frame.columns[at])}: {_column_text(frame.iloc[:, at], has_values=has_values)}"
        for at in _told(frame)
    ]
    if frame.shape[1] > MAX_COLUMNS:
        lines.append(f"- and {counted(frame.shape[1] - MAX_COLUMNS, 'column')} more")
    if has_values:
        lines += ["First rows as CSV:", _tried(lambda: _csv(frame, rows)) or "(they can't be written)"]
    return "\n".join(lines)


def _told(frame: pd.DataFrame) -> range:
    return range(min(frame.shape[1], MAX_COLUMNS))


def _csv(value: Frame, rows: int) -> str:
    """Return as many of the first rows as fit, with the note of what was left out."""
    text = frame_text(value, max_rows=rows)
    while len(text) > MOST_CHARACTERS and rows > 1:
        rows //= 2
        text = frame_text(value, max_rows=rows)
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]}…\n[{counted(len(text) - MOST_CHARACTERS, 'character')} of {counted(rows, 'row')} left out]"


def _column_text(column: "pd.Series[Any]", *, has_values: bool) -> str:
    missing = int(column.isna().sum())
    present = column.dropna()
    parts = [str(column.dtype), f"{missing:,} missing" if missing else ""]
    parts.append((_tried(lambda: _range_text(present)) or "") if len(present) and has_values else "")
    return "; ".join(part for part in parts if part)


def _range_text(present: "pd.Series[Any]") -> str:
    """Return the range of numbers and times, and of anything else its values when they are few."""
    api, dtype = pd.api.types, present.dtype
    has_range = api.is_numeric_dtype(dtype) or api.is_datetime64_any_dtype(dtype) or api.is_timedelta64_dtype(dtype)
    if (has_range or isinstance(dtype, pd.PeriodDtype)) and not api.is_bool_dtype(dtype):
        return f"{_shown(present.min())} to {_shown(present.max())}"
    if len(present) > _MOST_ROWS_COUNTED:
        return f"e.g. {_shown(present.iloc[0])}"
    counts = present.value_counts()
    if len(counts) <= _FEW_VALUES:
        return ", ".join(f"{_shown(value)} ({count:,})" for value, count in counts.items())
    return f"{len(counts):,} distinct, e.g. {_shown(counts.index[0])}"


def _index_text(index: pd.Index) -> str:
    if isinstance(index, pd.RangeIndex):
        return "row numbers"
    names = ", ".join(str(name) for name in index.names if name is not None)
    return f"{names} ({index.dtype})" if names else str(index.dtype)


def _shape(frame: pd.DataFrame) -> str:
    return f"{counted(len(frame), 'row')}, {counted(frame.shape[1], 'column')}"


def _shown(value: object) -> str:
    """Return the value in one line of bounded length."""
    text = _tried(lambda: f"{value:.10g}" if isinstance(value, float) else str(value))
    if text is None:
        return "?"
    line = " ".join(text[: 4 * _MOST_CHARACTERS_OF_A_VALUE].split())
    return line if len(line) <= _MOST_CHARACTERS_OF_A_VALUE else f"{line[: _MOST_CHARACTERS_OF_A_VALUE - 1]}…"


def _tried(write: Callable[[], str]) -> str | None:
    try:
        return write()
    except Exception:  # noqa: BLE001  # objects in a frame are the reader's, and may do anything
        return None
