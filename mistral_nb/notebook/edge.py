"""What lies between an accessor and the verbs: where another library's frames become pandas' and back.

Promises: the verbs read pandas and give pandas, and know of no other library; `PandasEdge` changes nothing.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd

    from mistral_nb.engine.column_run import ColumnRun
    from mistral_nb.notebook.batch_job import BatchJob


class Edge(Protocol):
    """How one library's columns and frames are read, and how answers become columns and frames of it."""

    def column(self, series: Any) -> "pd.Series[Any]":
        """Return a column of text."""

    def named_column(self, frame: Any, name: str) -> "pd.Series[Any]":
        """Return a frame's column of text; UnknownColumn where there is none of that name."""

    def further_column(self, subject: Any, key: Any) -> Any:
        """Return what stands beside the column to read: a frame's column of that name, of whatever kind; or a column itself."""

    def frame(self, frame: Any) -> "pd.DataFrame":
        """Return the frame."""

    def frame_of(self, series: Any) -> "pd.DataFrame":
        """Return a frame of one column, named as it is; "text" where it has no name."""

    def argument(self, value: Any) -> Any:
        """Return what was given as an argument; a column, or a list of them, as pandas'."""

    def given(self, verb: Callable[[], Any], *, asked: Mapping[str, Any]) -> Any:
        """Return what the verb gives, which was asked with these arguments."""

    def run(self, run: "ColumnRun") -> "ColumnRun":
        """Return a run over a column with its frames in this library's form."""

    def job(self, job: "BatchJob") -> "BatchJob":
        """Return a batch job that gives this library's frames."""


class PandasEdge:
    """pandas' own frames, as they are."""

    def column(self, series: "pd.Series[Any]") -> "pd.Series[Any]":
        return series

    def named_column(self, frame: "pd.DataFrame", name: str) -> "pd.Series[Any]":
        from mistral_nb.engine.columns import column_of

        return column_of(frame, name)

    def further_column(self, subject: "pd.Series[Any] | pd.DataFrame", key: Any) -> Any:
        import pandas as pd

        from mistral_nb.engine.columns import further_column_of

        return key if isinstance(subject, pd.Series) else further_column_of(subject, key)

    def frame(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        return frame

    def frame_of(self, series: "pd.Series[Any]") -> "pd.DataFrame":
        return series.to_frame("text" if series.name is None else series.name)

    def argument(self, value: Any) -> Any:
        return value

    def given(self, verb: Callable[[], Any], *, asked: Mapping[str, Any]) -> Any:
        return verb()

    def run(self, run: "ColumnRun") -> "ColumnRun":
        return run

    def job(self, job: "BatchJob") -> "BatchJob":
        return job


class Verbs:
    """What the accessors of all libraries have beside the verbs; made for a column or a frame."""

    _edge: Edge = PandasEdge()

    def __init__(self, subject: Any) -> None:
        self._subject = subject

    @property
    def last_run(self) -> "ColumnRun | None":
        """The last run of any verb in this session (None: no run yet): `.column`, `.failed`, `.details`, `.audit`, `.retry()`.

        Examples
        --------
        >>> import pandas as pd, mistral_nb
        >>> texts = pd.Series(["I was charged twice", "The parcel never came"])
        >>> topics = texts.mistral.classify(["billing", "delivery"])
        >>> len(texts.mistral.last_run.failed), texts.mistral.last_run.details["value"].tolist() == topics.tolist()
        (0, True)
        """
        from mistral_nb.engine.current import current_session

        last: ColumnRun | None = current_session().last_run
        return None if last is None else self._edge.run(last)

    @property
    def last_job(self) -> "BatchJob | None":
        """The last batch job of any verb in this session (None: no job yet), also that of ``mode="preview+batch"``.

        Examples
        --------
        >>> import pandas as pd, mistral_nb
        >>> print(pd.Series(["I was charged twice"]).mistral.last_job)
        None
        """
        from mistral_nb.engine.current import current_session

        last: BatchJob | None = current_session().last_job
        return None if last is None else self._edge.job(last)
