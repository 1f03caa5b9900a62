"""What lies between the accessors on Polars and the verbs.

Keeps to itself: in which form each kind of result is handed over.
Promises: nothing that a verb, a run or a job gives has pandas in it; the verbs, the engine and what they keep are the same as for
pandas, so that answers that were paid for through one library cost nothing through the other.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
import polars as pl

from mistral_nb.counted import counted
from mistral_nb.errors import InvalidOption, NotText, RowsFailed
from mistral_nb.polars.frames import as_frame, as_polars, column_of_values, text_column

if TYPE_CHECKING:
    from mistral_nb.engine.column_run import ColumnRun
    from mistral_nb.notebook.batch_job import BatchJob


class PolarsEdge:
    """Polars frames, which the verbs read through Arrow."""

    def column(self, series: pl.Series) -> "pd.Series[Any]":
        return text_column(series, place="series")

    def named_column(self, frame: pl.DataFrame, name: str) -> "pd.Series[Any]":
        return text_column(_column_of(frame, name), place=f"df[{name!r}]")

    def further_column(self, subject: pl.Series | pl.DataFrame, key: Any) -> Any:
        if not isinstance(key, pl.Series):
            return column_of_values(_column_of(subject, key)) if isinstance(subject, pl.DataFrame) else key
        if len(key) != len(subject):
            raise InvalidOption(
                f"The Series beside {counted(len(subject), 'row')} has {len(key):,}.",
                "Give a Series with a value for each row, in the same order.",
            )
        return column_of_values(key)

    def frame(self, frame: pl.DataFrame) -> pd.DataFrame:
        return as_frame(frame.get_columns())

    def frame_of(self, series: pl.Series) -> pd.DataFrame:
        return as_frame([series if series.name else series.alias("text")])

    def argument(self, value: Any) -> Any:
        if isinstance(value, pl.Series):
            return column_of_values(value)
        return [self.argument(each) for each in value] if isinstance(value, list) else value

    def given(self, verb: Callable[[], Any], *, asked: Mapping[str, Any]) -> Any:
        from mistral_nb.engine.current import current_session
        from mistral_nb.engine.rows_run import BackgroundRun
        from mistral_nb.notebook.batch_job import BatchJob

        try:
            found = verb()
        except RowsFailed as error:
            error.result, error.failed = _converted(error.result, asked), as_polars(error.failed, names_rows=True)
            raise
        except NotText as error:  # of a column beside the one that is read, or of a value that stands in a prompt
            for column in (value for value in asked.values() if isinstance(value, pd.Series)):
                dtype = cast("pl.Series", as_polars(column)).dtype
                error.problem = error.problem.replace(f"dtype {column.dtype},", f"dtype {dtype},")
            error.remedy = re.sub(r"\.astype\([^)]*\)", ".cast(pl.String)", error.remedy)
            raise
        if isinstance(found, BackgroundRun):
            return found.giving(lambda finish: self.given(finish, asked=asked))
        session = current_session()
        if isinstance(found, BatchJob):
            session.last_job = found = found.giving(self, asked=asked)
        elif asked.get("mode") == "preview+batch" and session.last_job is not None:
            session.last_job = session.last_job.giving(self, asked=asked)
        return _converted(found, asked)

    def run(self, run: "ColumnRun") -> "ColumnRun":
        return cast("ColumnRun", PolarsRun(run))

    def job(self, job: "BatchJob") -> "BatchJob":
        return job if job.edge is self else job.giving(self)


class PolarsRun:
    """A run of a verb with Polars frames: `values`, `column`, `details`, `failed`, `retry()`; all else as in pandas' `last_run`.

    `failed` has the number of each row in the column "row".
    """

    def __init__(self, run: "ColumnRun") -> None:
        self._run = run

    @property
    def values(self) -> pl.Series | pl.DataFrame:
        return as_polars(self._run.values)

    @property
    def column(self) -> pl.Series | pl.DataFrame:
        return as_polars(self._run.column, names_rows=self._run.is_reshaped)

    @property
    def details(self) -> pl.Series | pl.DataFrame:
        return _struct(self._run.details)

    @property
    def failed(self) -> pl.Series | pl.DataFrame:
        return as_polars(self._run.failed, names_rows=True)

    def retry(self) -> pl.Series | pl.DataFrame:
        """Ask the failed rows again, and those that an interrupted run did not come to; return all values."""
        return as_polars(self._run.retry(), names_rows=self._run.is_reshaped)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def __repr__(self) -> str:
        return repr(self._run)


def _column_of(frame: pl.DataFrame, name: str) -> pl.Series:
    from mistral_nb.engine.columns import column_of

    column_of(pd.DataFrame(columns=frame.columns), name)  # says what is wrong with a name that there is not
    return frame[name]


def _converted(found: Any, asked: Mapping[str, Any]) -> Any:
    from mistral_nb.notebook.grounded_answer import GroundedAnswer

    if isinstance(found, GroundedAnswer):
        sources, cited = (cast("Any", as_polars(frame)) for frame in (found.sources, found.cited))
        return replace(found, sources=sources, cited=cited)
    if isinstance(found, pd.DataFrame) and asked.get("details"):
        return _struct(found)
    is_frame = isinstance(found, pd.Series | pd.DataFrame)
    return as_polars(found, names_rows=bool(asked.get("explode"))) if is_frame else found


def _struct(details: pd.DataFrame) -> pl.Series | pl.DataFrame:
    """Return the details of rows as one column, which a frame takes; those of groups as the frame they are."""
    frame = as_polars(details)
    assert isinstance(frame, pl.DataFrame)
    return frame.to_struct("details") if frame.width == details.shape[1] else frame
