"""``summarize``: a shorter text that says the same, of each text, of each group's texts, or of all."""

from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.notebook.row_verbs import VerbOptions, answered

if TYPE_CHECKING:
    import pandas as pd

    from mistral_nb.engine.column_run import ColumnRun
    from mistral_nb.tasks.summarize import Summarize
    from mistral_nb.tasks.summary_tree import SummaryTree


def summarize(
    column: "pd.Series[Any]",
    *,
    by: Any = None,
    whole: bool = False,
    max_words: int | None = None,
    max_sentences: int | None = None,
    language: str | None = None,
    focus: str | None = None,
    instructions: str | None = None,
    **options: Unpack[VerbOptions],
) -> Any:
    """Return a summary of each text, of each group's texts together, or of all texts.

    A text that is longer than the model's window is summarized in parts, cut between paragraphs or sentences, and these summaries
    together. So are groups of any size: their texts are gathered into requests of up to 6,000 tokens, the summaries of these into
    further ones, until one is left. A row that changes changes the request that holds it and those above it; the others are kept.

    Parameters
    ----------
    by
        One summary per group: the name of a column of the frame or of a level of its index, a Series of keys, or a list of these.
        On a Series, what ``groupby`` takes.
    whole
        One summary of all texts.
    max_words, max_sentences
        How long a summary should be at most; without either, one sentence of 25 words, and 60 words with `by` and `whole`. The
        model is asked to keep to it; nothing is cut afterwards.
    language
        Language of the summaries, e.g. ``"fr"`` or ``"French"``; without it, that of the text or of most texts.
    focus
        What alone matters, e.g. ``"complaints"``.
    instructions
        What else the model should know or heed, e.g. ``"Name the product."``.

    Returns
    -------
    Series of dtype str
        Same index and name as the column. Missing and blank texts are missing and cause no request; rows that failed are
        missing too, with one warning that counts them.
    DataFrame
        With `by`, one row per group, indexed as ``groupby`` does it (sorted, without missing keys; a MultiIndex for a list of two
        or more): `summary` (str), and in `rows` (Int64) how many rows it covers. A text that the model refuses is left out, counted
        by the warning and listed in ``df.mistral.last_run.failed``.
    Summary
        With `whole`, a text that knows how many `rows` it covers. None where no row has text.

    Raises
    ------
    InvalidOption
        `max_words` or `max_sentences` is not a whole number from 1 up; `focus` or `instructions` is blank or no text; `language`
        is none; both `by` and `whole` are given.
    UnknownColumn
        `by` names a column that there is not.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["The app shows a white page since the update, and only after a restart it works.", None])
    >>> texts.mistral.summarize(max_words=10).isna().tolist()
    [False, True]
    >>> tickets = pd.DataFrame({"product": ["app", "lamp", "app"], "text": ["It crashes.", "It broke.", "It is slow."]})
    >>> tickets.mistral.summarize("text", by="product", max_words=20)["rows"].to_dict()
    {'app': 2, 'lamp': 1}
    """
    from mistral_nb.notebook.folds import folded, grouping
    from mistral_nb.tasks.summarize import DEFAULT_MAX_WORDS, DEFAULT_MAX_WORDS_OF_MANY, summarize_task

    groups = grouping(column, by, whole=whole)
    task = summarize_task(
        max_words,
        max_sentences=max_sentences,
        language=language,
        focus=focus,
        instructions=instructions,
        default_max_words=DEFAULT_MAX_WORDS if groups is None else DEFAULT_MAX_WORDS_OF_MANY,
    )
    tree = _tree(task, options.get("model"))
    if groups is None and _all_fit(column, tree):
        return answered(column, task, **options)
    gives_text = whole and not options.get("details")
    return folded(column, tree, groups, give=_summary_of_all if gives_text else None, **options)


def _tree(task: "Summarize", model: str | None) -> "SummaryTree":
    from mistral_nb.engine.current import current_session
    from mistral_nb.notebook.context_window import window_tokens
    from mistral_nb.tasks.summary_tree import summary_tree

    session = current_session()
    name = session.model_name(model)

    def tokens(text: str) -> int:
        counter = session.token_counter(name)
        # An estimate can be half of the real number.
        return counter.text_tokens(text) * (1 if counter.is_exact else 2)

    return summary_tree(task, window_tokens=window_tokens(name, session), tokens=tokens)


def _all_fit(column: "pd.Series[Any]", tree: "SummaryTree") -> bool:
    from mistral_nb.engine.columns import distinct_texts

    return all(map(tree.fits, distinct_texts(column).texts))


def _summary_of_all(run: "ColumnRun") -> Any:
    from mistral_nb.notebook.summary import Summary

    if run.result.values in ([], [None]):
        return None
    summary, rows = run.column.iloc[0]
    return Summary(summary, rows=int(rows))
