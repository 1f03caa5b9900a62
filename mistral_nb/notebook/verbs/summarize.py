"""``summarize``: a shorter text that says the same."""

from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.notebook.row_verbs import VerbOptions, answered

if TYPE_CHECKING:
    import pandas as pd


def summarize(
    column: "pd.Series[Any]",
    *,
    max_words: int | None = None,
    max_sentences: int | None = None,
    language: str | None = None,
    focus: str | None = None,
    instructions: str | None = None,
    **options: Unpack[VerbOptions],
) -> Any:
    """Return a summary of each text, in the text's own language.

    Parameters
    ----------
    max_words, max_sentences
        How long a summary should be at most; without either, one sentence of 25 words. The model is asked to keep to it; nothing is
        cut afterwards.
    language
        Language of the summaries, e.g. ``"French"``; without it, the text's own.
    focus
        What alone matters, e.g. ``"complaints"``.
    instructions
        What else the model should know or heed, e.g. ``"Name the product."``.

    Returns
    -------
    Series of dtype str
        Same index and name as the column. Missing and blank texts are missing and cause no request; rows that failed are
        missing too, with one warning that counts them.

    Raises
    ------
    InvalidOption
        `max_words` or `max_sentences` is not a whole number from 1 up; `language`, `focus` or `instructions` is blank or no text.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["The app shows a white page since the update, and only after a restart it works.", None])
    >>> texts.mistral.summarize(max_words=10).isna().tolist()
    [False, True]
    """
    from mistral_nb.tasks.summarize import summarize_task

    task = summarize_task(
        max_words, max_sentences=max_sentences, language=language, focus=focus, instructions=instructions
    )
    return answered(column, task, **options)
