"""``ask``: what a prompt of your own says of each row."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.notebook.row_verbs import VerbOptions, answered

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_MAX_WORDS = 100


def ask(
    frame: "pd.DataFrame",
    template: str,
    *,
    max_words: int = DEFAULT_MAX_WORDS,
    instructions: str | None = None,
    fill: str | Mapping[str, str] | None = None,
    **options: Unpack[VerbOptions],
) -> Any:
    """Return the answer to a prompt of your own for each row.

    Parameters
    ----------
    template
        The prompt, with names of columns in braces: ``"Write a {tone} reply to: {review}"``. On a Series the place has the Series'
        name, ``{text}`` if it has none. Columns may hold text, numbers, booleans and dates. A value is put in once, as it is:
        braces in it mean nothing. ``{{`` and ``}}`` stand for braces.
    max_words
        Words an answer should have at most. The model is asked to keep to it; nothing is cut afterwards.
    instructions
        What holds for all rows and is not part of the prompt, e.g. ``"Never promise a refund."``.
    fill
        What stands for missing and blank values: a text, or a text by column. Without it, a row that lacks a value is missing.

    Returns
    -------
    Series of dtype str
        Index of the frame. Rows that lack a value that the prompt takes are missing and cause no request (see `fill`); rows whose
        values are equal are asked once; rows that failed are missing, with one warning that counts them.

    Raises
    ------
    InvalidTemplate
        The template names no column, or a brace stands alone.
    UnknownColumn
        The template names a column that there is not.
    NotText
        A column that it names holds something else than text, numbers, booleans or dates.
    InvalidOption
        `max_words` is not a whole number from 1 up, `instructions` are blank, or `fill` is no text.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> reviews = pd.DataFrame({"tone": ["kind", None], "review": ["The lamp broke.", "Fine."]})
    >>> reviews.mistral.ask("Write a {tone} reply to: {review}", max_words=20).isna().tolist()
    [False, True]
    """
    from mistral_nb.engine.masked_column import masked_record
    from mistral_nb.engine.records import record_texts
    from mistral_nb.tasks.ask import ask_task
    from mistral_nb.tasks.templates import parsed_template

    frame = frame.set_axis([str(name) for name in frame.columns], axis="columns")  # as a template can write them
    parsed = parsed_template(template, list(frame.columns))
    task = ask_task(parsed, max_words=max_words, instructions=instructions)
    return answered(record_texts(frame, parsed.fields, fill=fill), task, masked_one=masked_record, **options)
