"""The accessor on pandas frames, or on Polars frames with the same rows.

Keeps to itself: how a test that is written for pandas reaches Polars: its frame becomes one of Polars, the verb is Polars' own, and
what that gives is turned into what pandas would have given.
Promises: a verb that gave anything but Polars' frames fails the test.
"""

from dataclasses import replace
from typing import Any

import pandas as pd
import polars as pl

import mistral_nb.polars  # noqa: F401  # registers the accessor
from mistral_nb.notebook.grounded_answer import GroundedAnswer

_DTYPES = {pl.Int64: "Int64", pl.Float64: "Float64", pl.Boolean: "boolean", pl.Datetime: "datetime64[us]"}
_FRAMES = ("column", "details", "failed", "values", "retry")


class ThroughPolars:
    """Stands in for the accessor of a pandas Series or frame."""

    def __init__(self, subject: Any) -> None:
        self._subject = subject

    def __getattr__(self, name: str) -> Any:
        found = getattr(_to_polars(self._subject).mistral, name)
        if name == "last_run":
            return _LastRun(found, self._subject.index)

        def verb(*arguments: Any, **options: Any) -> Any:
            given = found(*map(_argument, arguments), **{key: _argument(value) for key, value in options.items()})
            keys = options.get("by") if name == "summarize" else "model" if name == "compare_prices" else None
            return _back(given, self._subject.index, text="string" if name == "extract" else "str", keys=keys)

        return verb


class _LastRun:
    def __init__(self, run: Any, index: Any) -> None:
        self._run, self._index = run, index

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._run, name)
        if name not in _FRAMES:
            return found
        return (lambda: _back(found(), self._index)) if callable(found) else _back(found, self._index)


def _to_polars(subject: Any) -> Any:
    if isinstance(subject, pd.DataFrame):
        return pl.DataFrame([_to_polars(subject[name]) for name in subject.columns])
    return pl.Series(subject.name or "", [None if pd.isna(value) else value for value in subject.tolist()])


def _argument(value: Any) -> Any:
    return _to_polars(value) if isinstance(value, pd.Series) else value


def _back(found: Any, index: Any, *, text: str = "str", keys: Any = None) -> Any:
    assert not isinstance(found, pd.Series | pd.DataFrame), "Polars gives Polars"
    if isinstance(found, pl.Series) and isinstance(found.dtype, pl.Struct):
        found = found.struct.unnest()
    if isinstance(found, pl.Series):
        return _column(found, text).set_axis(index).rename(found.name or None)
    if isinstance(found, GroundedAnswer):
        return replace(found, sources=_back(found.sources, index), cited=_back(found.cited, index))
    if not isinstance(found, pl.DataFrame):
        return found
    frame = pd.DataFrame({name: _column(found[name], text) for name in found.columns})
    if keys is not None:
        return frame.set_index(keys)
    if "row" in frame.columns:
        return frame.drop(columns="row").set_axis(index[frame["row"].to_numpy(dtype=int)])
    positions = frame["position"].to_numpy(dtype=int) if "position" in frame.columns else slice(None)
    return frame.set_axis(index[positions])


def _column(column: pl.Series, text: str) -> "pd.Series[Any]":
    values = column.to_list()
    if isinstance(column.dtype, pl.Struct):  # which has null for a field that pandas' objects do without
        values = [value and {name: inner for name, inner in value.items() if inner is not None} for value in values]
    if isinstance(column.dtype, pl.Enum):
        return pd.Series(values, dtype=pd.CategoricalDtype(column.dtype.categories.to_list()))
    dtype = (
        text if column.dtype == pl.String else next((_DTYPES[kind] for kind in _DTYPES if column.dtype == kind), object)
    )
    return pd.Series(values, dtype=dtype)
