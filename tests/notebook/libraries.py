"""The accessor on pandas frames, or on Polars frames with the same rows.

Keeps to itself: how a test that is written for pandas reaches Polars: its frame becomes one of Polars, the verb is Polars' own, and
what that gives is turned into what pandas would have given: an Enum into a category, a List of Float32 into vectors, "row" and
"position" into the index, which is the test's own.
Promises: a verb that gave anything but Polars' frames, or a type that is not the counterpart of pandas' own, fails the test.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial, wraps
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

import mistral_nb.polars  # noqa: F401  # registers the accessor
from mistral_nb.engine.rows_run import BackgroundRun
from mistral_nb.errors import RowsFailed
from mistral_nb.notebook.batch_job import BatchJob
from mistral_nb.notebook.grounded_answer import GroundedAnswer
from mistral_nb.polars.edge import PolarsRun

_DTYPES = {pl.Int64: "Int64", pl.Float64: "Float64", pl.Boolean: "boolean", pl.Datetime("us"): "datetime64[us]"}
_OBJECTS = (pl.List, pl.Struct, getattr(pl, "Map", pl.List))  # which Polars 1 has not
_VECTOR = pl.List(pl.Float32)
_MAP_OF_POLARS_1 = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))
_FRAMES = ("column", "details", "failed", "values", "retry", "result")


class ThroughPolars:
    """Stands in for the accessor of a pandas Series or frame."""

    def __init__(self, subject: Any) -> None:
        self._subject = subject

    def __getattr__(self, name: str) -> Any:
        found = getattr(_to_polars(self._subject).mistral, name)
        if name in {"last_run", "last_job"}:
            return found and _back(found, self._subject)

        @wraps(found)
        def verb(*arguments: Any, **options: Any) -> Any:
            def back(found: Any) -> Any:
                return _back(found, self._subject, verb=name, by=options.get("by"))

            return _asked(lambda: found(*map(_argument, arguments), **_arguments(options)), back)

        return verb


class _Through:
    """Stands in for a last run or a batch job, which have frames."""

    def __init__(self, held: Any, back: Callable[[Any], Any]) -> None:
        self._held, self._back = held, back

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._held, name)
        if name == "wait":
            return lambda **options: _Through(found(**options), self._back)
        if name not in _FRAMES:
            return found
        return (lambda: _asked(found, self._back)) if callable(found) else self._back(found)

    def __repr__(self) -> str:
        return repr(self._held)


def _asked(verb: Callable[[], Any], back: Callable[[Any], Any]) -> Any:
    try:
        found = verb()
    except RowsFailed as error:
        error.result, error.failed = back(error.result), back(error.failed)
        raise
    return found.giving(lambda finish: _asked(finish, back)) if isinstance(found, BackgroundRun) else back(found)


def _arguments(options: dict[str, Any]) -> dict[str, Any]:
    return {name: _argument(value) for name, value in options.items()}


def _argument(value: Any) -> Any:
    if isinstance(value, list):
        return [_argument(each) for each in value]
    return _to_polars(value) if isinstance(value, pd.Series) else value


def _to_polars(subject: Any) -> Any:
    if isinstance(subject, pd.DataFrame):
        return pl.DataFrame([_to_polars(subject[name]) for name in subject.columns])
    values = [None if pd.api.types.is_scalar(value) and pd.isna(value) else value for value in subject.tolist()]
    dtype = subject.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return pl.Series(subject.name or "", values, dtype=pl.Enum(dtype.categories.tolist()))
    return pl.Series(subject.name or "", values, dtype=pl.String if isinstance(dtype, pd.StringDtype) else None)


def _back(found: Any, subject: Any, *, verb: str = "", by: Any = None) -> Any:
    assert not isinstance(found, pd.Series | pd.DataFrame), "Polars gives Polars"
    if isinstance(found, PolarsRun):
        return _Through(found, partial(_back, subject=subject, verb=found.result.verb))
    if isinstance(found, BatchJob):
        return _Through(found, partial(_back, subject=subject, verb=found.receipt.verb))
    index, text = subject.index, "string" if verb == "extract" else "str"
    if isinstance(found, pl.Series) and isinstance(found.dtype, pl.Struct):
        found = found.struct.unnest()
    if isinstance(found, pl.Series):
        return _column(found, text).set_axis(index).rename(found.name or None)
    if isinstance(found, GroundedAnswer):
        sources, cited = (_back(frame, subject, verb=verb) for frame in (found.sources, found.cited))
        return replace(found, sources=sources, cited=cited)
    if not isinstance(found, pl.DataFrame):
        return found
    frame = pd.DataFrame({name: _column(found[name], text) for name in found.columns})
    keys = _keys(found, subject, verb=verb, by=by)
    if keys is not None:
        whole_numbers = {key: "int64" for key in frame.select_dtypes("Int64").columns if key in keys}
        return frame.astype(whole_numbers).set_index(keys if isinstance(by, list) else keys[0])
    if "row" in frame.columns:
        return frame.drop(columns="row").set_axis(index[frame["row"].to_numpy(dtype=int)])
    positions = frame["position"].to_numpy(dtype=int) if "position" in frame.columns else slice(None)
    return frame.set_axis(index[positions])


def _keys(found: pl.DataFrame, subject: Any, *, verb: str, by: Any) -> list[str] | None:
    """Return the columns that pandas has as index: those of groups, by which the run was asked, or models."""
    if verb == "compare_prices":
        return ["model"]
    if verb != "summarize" or "row" in found.columns:
        return None
    if by is None:  # of a run, which has only groups of columns here
        return [name for name in found.columns if name in getattr(subject, "columns", ())] or None
    return [key.name if isinstance(key, pd.Series) else key for key in (by if isinstance(by, list) else [by])]


def _column(column: pl.Series, text: str) -> "pd.Series[Any]":
    dtype, values = column.dtype, column.to_list()
    if isinstance(dtype, pl.Enum):
        return pd.Series(values, dtype=pd.CategoricalDtype(dtype.categories.to_list()))
    if dtype == pl.String:
        return pd.Series(values, dtype=text)
    if dtype in _DTYPES:
        return pd.Series(values, dtype=_DTYPES[dtype])
    assert isinstance(dtype, _OBJECTS), f"pandas gives nothing that is {dtype} in Polars"
    return pd.Series([_object(dtype, value) for value in values], dtype=object)


def _object(dtype: pl.DataType, value: Any) -> Any:
    """Return a list, vector or object as pandas' objects hold it."""
    if value is None:
        return None
    if dtype == _VECTOR:
        return np.array(value, dtype=np.float32)
    if dtype == _MAP_OF_POLARS_1:
        return {entry["key"]: entry["value"] for entry in value}
    if isinstance(dtype, pl.List):
        return [_object(dtype.inner, each) for each in value]
    if isinstance(dtype, pl.Struct):  # with null for a field that pandas' objects do without
        return {
            field.name: _object(field.dtype, value[field.name])
            for field in dtype.fields
            if value[field.name] is not None
        }
    return value
