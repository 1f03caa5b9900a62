"""``df.mistral`` and ``series.mistral``: a table of contents, no logic, no state.

Promises: importing this module registers both accessors and loads little else than pandas (the engine comes with the first
verb); each verb gives a column with the index of the column it was given.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from mistral_nb.engine.columns import ColumnRun
    from mistral_nb.engine.rows import RowTask

DEFAULT_MAX_WORDS = 25


@pd.api.extensions.register_series_accessor("mistral")
class SeriesVerbs:
    """Mistral's verbs on a column of text."""

    def __init__(self, column: "pd.Series[Any]") -> None:
        self._column = column

    def classify(self, labels: Iterable[str], *, model: str | None = None) -> "pd.Series[Any]":
        """Return the label that fits each text best.

        Parameters
        ----------
        labels
            At least two distinct labels, e.g. ``["billing", "delivery", "bug"]``.
        model
            Name, alias or short name; default: the settings' model.

        Returns
        -------
        Series of dtype category
            Same index and name as the column, categories in the order of `labels`. Missing and blank texts are missing and cause no
            request; rows that failed are missing too, with one warning that counts them.

        Raises
        ------
        NotText
            The column holds something else than text.
        InvalidLabels
            Fewer than two labels, one given twice, or one that is blank.
        KeyProblem, ModelProblem, EmbeddedProblem, WrongEndpoint
            No row could be answered; what was answered before is kept and not asked again.

        Examples
        --------
        >>> import pandas as pd, mistral_nb
        >>> texts = pd.Series(["I was charged twice", None, "The parcel never came"])
        >>> texts.mistral.classify(["billing", "delivery"]).cat.categories.tolist()
        ['billing', 'delivery']
        """
        from mistral_nb.tasks.classify import classify_task

        return _answered(self._column, classify_task(labels), model=model)

    def summarize(self, *, max_words: int = DEFAULT_MAX_WORDS, model: str | None = None) -> "pd.Series[Any]":
        """Return a one-sentence summary of each text, in the text's own language.

        Parameters
        ----------
        max_words
            Words a summary should have at most. The model is asked to keep to it; nothing is cut afterwards.
        model
            Name, alias or short name; default: the settings' model.

        Returns
        -------
        Series of dtype str
            Same index and name as the column. Missing and blank texts are missing and cause no request; rows that failed are
            missing too, with one warning that counts them.

        Raises
        ------
        NotText
            The column holds something else than text.
        InvalidOption
            `max_words` is not a whole number from 1 up.
        KeyProblem, ModelProblem, EmbeddedProblem, WrongEndpoint
            No row could be answered; what was answered before is kept and not asked again.

        Examples
        --------
        >>> import pandas as pd, mistral_nb
        >>> texts = pd.Series(["The app shows a white page since the update, and only after a restart it works.", None])
        >>> texts.mistral.summarize(max_words=10).isna().tolist()
        [False, True]
        """
        from mistral_nb.tasks.summarize import summarize_task

        return _answered(self._column, summarize_task(max_words), model=model)

    @property
    def last_run(self) -> "ColumnRun | None":
        """The last run of any verb in this session: `.column`, `.failed` (a frame) and `.result`; None before the first."""
        return _last_run()


@pd.api.extensions.register_dataframe_accessor("mistral")
class FrameVerbs:
    """Mistral's verbs on a frame: each takes the name of the column to read."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def classify(self, column: str, labels: Iterable[str], *, model: str | None = None) -> "pd.Series[Any]":
        """Return the label that fits each text of `column` best; see `Series.mistral.classify`."""
        return self._column(column).classify(labels, model=model)

    def summarize(
        self, column: str, *, max_words: int = DEFAULT_MAX_WORDS, model: str | None = None
    ) -> "pd.Series[Any]":
        """Return a one-sentence summary of each text of `column`; see `Series.mistral.summarize`."""
        return self._column(column).summarize(max_words=max_words, model=model)

    @property
    def last_run(self) -> "ColumnRun | None":
        """The last run of any verb in this session: `.column`, `.failed` (a frame) and `.result`; None before the first."""
        return _last_run()

    def _column(self, column: str) -> SeriesVerbs:
        from mistral_nb.engine.columns import column_of

        return SeriesVerbs(column_of(self._frame, column))


def _last_run() -> "ColumnRun | None":
    from mistral_nb.engine.session import current_session

    return current_session().last_run


def _answered(column: "pd.Series[Any]", task: "RowTask", *, model: str | None) -> "pd.Series[Any]":
    from mistral_nb.engine.columns import column_run, texts_of
    from mistral_nb.engine.session import current_session
    from mistral_nb.notebook.progress import progress_line, warn_of_failures

    texts = texts_of(column)
    session = current_session()
    with progress_line(task.verb, len(texts)) as show:
        result = session.run(task, texts, model=model, on_progress=show)
    run = session.last_run = column_run(column, result, dtype=task.dtype)
    warn_of_failures(result)
    return run.column
