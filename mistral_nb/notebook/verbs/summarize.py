"""``summarize``: a shorter text that says the same."""

from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.notebook.row_verbs import VerbOptions, answered

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_MAX_WORDS = 25


def summarize(column: "pd.Series[Any]", *, max_words: int = DEFAULT_MAX_WORDS, **options: Unpack[VerbOptions]) -> Any:
    """Return a one-sentence summary of each text, in the text's own language.

    Parameters
    ----------
    max_words
        Words a summary should have at most. The model is asked to keep to it; nothing is cut afterwards.

    Returns
    -------
    Series of dtype str
        Same index and name as the column. Missing and blank texts are missing and cause no request; rows that failed are
        missing too, with one warning that counts them.

    Raises
    ------
    InvalidOption
        `max_words` is not a whole number from 1 up.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["The app shows a white page since the update, and only after a restart it works.", None])
    >>> texts.mistral.summarize(max_words=10).isna().tolist()
    [False, True]
    """
    from mistral_nb.tasks.summarize import summarize_task

    return answered(column, summarize_task(max_words), **options)
