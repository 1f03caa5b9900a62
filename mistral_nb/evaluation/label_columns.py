"""Columns of labels as people have them: which can be compared at all, and the line that makes them so.

Keeps to itself: which values can equal which. A text never equals a number, so that a column of whole numbers from a CSV would make
every answer wrong without a word.
Promises: what can't be compared is refused with the value; what can be is left as it is.
"""

from collections.abc import Iterable, Mapping, Set
from enum import Enum
from numbers import Number
from typing import TYPE_CHECKING, Any

from mistral_nb.errors import InvalidOption, NotCollected

if TYPE_CHECKING:
    import pandas as pd

_TEXT = "text"
_LONGEST_SHOWN = 60


def label_column(labels: Any, *, name: str) -> "pd.Series[Any]":
    """Return the labels as objects, with the index they have.

    Parameters
    ----------
    name
        What they are, for an error: "predicted", or "truth".

    Raises
    ------
    InvalidOption
        It is a frame, one text, nothing with an order, or a label is a list.
    NotCollected
        A lazy frame.
    """
    import pandas as pd

    if hasattr(type(labels), "columns") and getattr(labels, "ndim", 2) != 1:  # Dask's Series has columns too
        raise _no_frame(labels, name)
    has_no_order = isinstance(labels, str | bytes | Mapping | Set) or not isinstance(labels, Iterable)
    if has_no_order:
        raise InvalidOption(
            f"{name} is {_shown(labels)} ({type(labels).__name__}).",
            f'Give a column or a list of labels, e.g. {name}=["billing", "bug"].',
        )
    column = labels.astype(object) if isinstance(labels, pd.Series) else pd.Series(list(labels), dtype=object)
    for label in column:
        if not _is_one_label(label):
            raise InvalidOption(
                f"{name} holds {_shown(label)} ({type(label).__name__}), and a label is one value.",
                'Compare one label at a time: found = df.mistral.classify("text", labels, multi_label="columns"), then '
                'mistral_nb.evaluate(found["billing"], df["is_billing"]).',
            )
    return column


def refuse_other_kinds(predicted: Any, truth: Any, *, columns: "tuple[pd.Series[Any], pd.Series[Any]]") -> None:
    """Raise InvalidOption where predictions and truth are of different kinds, so that they can't be equal.

    Parameters
    ----------
    predicted, truth
        As they were given.
    columns
        Both as `label_column` returns them.
    """
    first, second = map(_examples, columns)
    if not first or not second or first.keys() == second.keys():
        return
    lines = [
        f"{name} = {text_line(given, column, place=name)}"
        for name, given, column, found in zip(
            ("predicted", "truth"), (predicted, truth), columns, (first, second), strict=True
        )
        if found.keys() != {_TEXT}
    ]
    raise InvalidOption(
        f"predicted holds {_listed(first)}, and truth {_listed(second)}: these are never equal.",
        f"Make both text: {'; '.join(lines)}",
    )


def refuse_other_than_text(truth: "pd.Series[Any]", *, given: Any, place: str) -> None:
    """Raise InvalidOption where a truth is no text, as the labels of `classify` are.

    Parameters
    ----------
    given, place
        The column as the user has it, and how.
    """
    column = label_column(truth, name=place)
    found = _examples(column)
    if found.keys() <= {_TEXT}:
        return
    line = text_line(given, column, place=place)
    is_read_only = is_polars(given) and place.startswith("df[")
    raise InvalidOption(
        f"The labels that classify gives are text, and {place} holds {_listed(found)}: these are never equal.",
        f"Make it text: {f'df = df.with_columns({line})' if is_read_only else f'{place} = {line}'}",
    )


def text_line(given: Any, column: "pd.Series[Any]", *, place: str) -> str:
    """Return the line that makes a column text; whole numbers that a missing value made floats get no ".0"."""
    import pandas as pd

    values = column.dropna().tolist()
    is_whole = all(isinstance(value, float) and value.is_integer() for value in values)
    if all(isinstance(value, Enum) for value in values):
        form = "value" if all(isinstance(value.value, str) for value in values) else "name"
        return f'[getattr(label, "{form}", label) for label in {place}]'
    if is_polars(given):
        return f"{place}{'.cast(pl.Int64)' if is_whole else ''}.cast(pl.String)"
    series = place if isinstance(given, pd.Series) else f"pd.Series({place})"
    return f"""{series}{'.astype("Int64")' if is_whole else ""}.astype("str")"""


def is_polars(subject: object) -> bool:
    """Whether it is something of Polars, which is not imported for that."""
    return type(subject).__module__.partition(".")[0] == "polars"


def not_collected(subject: object, *, name: str) -> NotCollected:
    """Return the error of a lazy frame."""
    return NotCollected(
        f"{name} is a {type(subject).__name__}, which has no rows yet.", "Collect it first: df.collect()"
    )


def _no_frame(frame: Any, name: str) -> InvalidOption | NotCollected:
    if type(frame).__name__ == "LazyFrame":
        return not_collected(frame, name=name)
    names = list(frame.columns)
    chosen = next((each for each in ("label", "value") if each in names), names[0] if names else "label")
    other = f"{name}[{chosen!r}]"
    call = f"evaluate({other}, truth)" if name == "predicted" else f"evaluate(predicted, {other})"
    return InvalidOption(
        f"{name} is a frame with the columns {', '.join(map(str, names)) or '(none)'}, and one column is compared.",
        f"Give the column that has the labels: {call}",
    )


def _is_one_label(label: Any) -> bool:
    try:
        hash(label)
    except TypeError:
        return False
    return True


def _examples(column: "pd.Series[Any]") -> dict[str, Any]:
    """Return a value of each kind that the column holds."""
    of_type = {type(value): value for value in reversed(column.dropna().tolist())}
    return {_kind(found): value for found, value in of_type.items()}


def _kind(found: type) -> str:
    import numpy as np

    if issubclass(found, str):
        return _TEXT
    # True equals 1, so that claims may stand beside indicators.
    return "numbers" if issubclass(found, Number | np.bool_) else found.__name__


def _listed(found: Mapping[str, Any]) -> str:
    return " and ".join(f"{_shown(value)} ({type(value).__name__})" for _, value in sorted(found.items()))


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[: _LONGEST_SHOWN - 1]}…"
