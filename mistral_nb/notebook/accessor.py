"""``df.mistral`` and ``series.mistral``: a table of contents, no logic, no state.

Promises: importing this module registers both accessors and loads little else than pandas (the engine comes with the first
verb); each verb gives a column with the index of the column it was given.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Unpack

import pandas as pd

from mistral_nb.notebook.row_verbs import VerbOptions, answered, with_verb_options

if TYPE_CHECKING:
    from mistral_nb.engine.column_run import ColumnRun

DEFAULT_MAX_WORDS = 25


@pd.api.extensions.register_series_accessor("mistral")
class SeriesVerbs:
    """Mistral's verbs on a column of text.

    Every verb takes these options beside its own: `model`, `dry_run`, `budget_usd`, `details`, `errors`, `background`,
    `rows_per_request`, `cache` and `refresh`; see `mistral_nb.notebook.row_verbs.VerbOptions`.
    """

    def __init__(self, column: "pd.Series[Any]") -> None:
        self._column = column

    @with_verb_options
    def classify(self, labels: Iterable[str], **options: Unpack[VerbOptions]) -> Any:
        """Return the label that fits each text best.

        Parameters
        ----------
        labels
            At least two distinct labels, e.g. ``["billing", "delivery", "bug"]``.
        model
            Name, alias or short name; default: the settings' model.
        dry_run
            Return a `Receipt` (rows, requests, tokens, dollars, minutes) and send nothing.
        budget_usd
            Most that the run may cost; the rows that did not fit are missing, with `BudgetReached`.
        details
            Return a frame: value, error, from_cache, model, response_id, prompt_tokens, completion_tokens, cost_usd,
            latency_seconds, finish_reason.
        errors
            "coerce": failed rows are missing, with one warning. "raise": `RowsFailed`, with `.result` and `.failed`.
        background
            Return a `BackgroundRun` at once: `.progress`, `.result()`, `.cancel()`.
        rows_per_request
            "auto", or how many rows share a request.
        cache, refresh
            ``cache=False`` neither takes kept answers nor keeps new ones; ``refresh=True`` asks again what is kept.

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
        InvalidOption, UnknownPrice
            An option that there is not, a value it can't have, or a budget for a model without a known price.
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

        return answered(self._column, classify_task(labels), **options)

    @with_verb_options
    def summarize(self, *, max_words: int = DEFAULT_MAX_WORDS, **options: Unpack[VerbOptions]) -> Any:
        """Return a one-sentence summary of each text, in the text's own language.

        Parameters
        ----------
        max_words
            Words a summary should have at most. The model is asked to keep to it; nothing is cut afterwards.
        model, dry_run, budget_usd, details, errors, background, rows_per_request, cache, refresh
            As in `classify`.

        Returns
        -------
        Series of dtype str
            Same index and name as the column. Missing and blank texts are missing and cause no request; rows that failed are
            missing too, with one warning that counts them.

        Raises
        ------
        NotText
            The column holds something else than text.
        InvalidOption, UnknownPrice
            `max_words` is not a whole number from 1 up; for the others see `classify`.
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

        return answered(self._column, summarize_task(max_words), **options)

    @property
    def last_run(self) -> "ColumnRun | None":
        """The last run of any verb in this session (None: no run yet): `.column`, `.failed`, `.details`, `.audit`, `.retry()`."""
        return _last_run()


@pd.api.extensions.register_dataframe_accessor("mistral")
class FrameVerbs:
    """Mistral's verbs on a frame: each takes the name of the column to read, and the options of the Series' verb."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    @with_verb_options
    def classify(self, column: str, labels: Iterable[str], **options: Unpack[VerbOptions]) -> Any:
        """Return the label that fits each text of `column` best; see `Series.mistral.classify`."""
        return self._column(column).classify(labels, **options)

    @with_verb_options
    def summarize(self, column: str, *, max_words: int = DEFAULT_MAX_WORDS, **options: Unpack[VerbOptions]) -> Any:
        """Return a one-sentence summary of each text of `column`; see `Series.mistral.summarize`."""
        return self._column(column).summarize(max_words=max_words, **options)

    @property
    def last_run(self) -> "ColumnRun | None":
        """The last run of any verb in this session (None: no run yet): `.column`, `.failed`, `.details`, `.audit`, `.retry()`."""
        return _last_run()

    def _column(self, column: str) -> SeriesVerbs:
        from mistral_nb.engine.columns import column_of

        return SeriesVerbs(column_of(self._frame, column))


def _last_run() -> "ColumnRun | None":
    from mistral_nb.engine.current import current_session

    last: ColumnRun | None = current_session().last_run
    return last
