"""``sentiment``: how each text feels about what it speaks of."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.notebook.row_verbs import VerbOptions, answered

if TYPE_CHECKING:
    import pandas as pd


def sentiment(
    column: "pd.Series[Any]",
    *,
    neutral: bool = True,
    mixed: bool = True,
    aspects: Iterable[str] | None = None,
    confidence: bool = False,
    votes: int | None = None,
    instructions: str | None = None,
    **options: Unpack[VerbOptions],
) -> Any:
    """Return whether each text is negative, neutral, positive or mixed.

    Parameters
    ----------
    neutral, mixed
        Whether these are possible; without both a text is negative or positive.
    aspects
        What to judge apart, e.g. ``["price", "service"]``: the sentiment towards each, missing where a text does not mention it.
    confidence, votes
        As in `classify`; not with `aspects`.
    instructions
        What else to mind, e.g. ``"Irony counts as what is meant."`` The embedded model's scores do not change with it; a warning
        says so.

    Returns
    -------
    Series of dtype category
        Same index and name as the column; categories "negative", "neutral", "positive", "mixed", as far as they are possible.
        Missing and blank texts are missing and cause no request; rows that failed are missing too, with one warning that counts
        them.
    DataFrame
        With `aspects` one such column for each of them; with `confidence` the columns label, confidence and confidence_from.

    Raises
    ------
    InvalidOption
        Aspects that are no list of different texts, or come with `confidence` or `votes`; votes out of range or at temperature
        0; blank `instructions`.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["I love it, it works perfectly.", None])
    >>> texts.mistral.sentiment(neutral=False, mixed=False).cat.categories.tolist()
    ['negative', 'positive']
    """
    from mistral_nb.errors import InvalidOption
    from mistral_nb.notebook.confidence import with_confidence
    from mistral_nb.tasks.aspects import aspects_task
    from mistral_nb.tasks.sentiment import sentiment_task

    if not isinstance(confidence, bool):
        raise InvalidOption(f"confidence is {confidence!r}.", "Give confidence=True or confidence=False.")
    if aspects is not None:
        if confidence or votes is not None:
            raise InvalidOption(
                "There is no confidence of single aspects.", "Leave out aspects=, or confidence= and votes=."
            )
        task = aspects_task(aspects, neutral=neutral, mixed=mixed, instructions=instructions)
        return answered(column, task, **options)
    whole = sentiment_task(neutral=neutral, mixed=mixed, instructions=instructions, shows_confidence=confidence)
    asked, otherwise = with_confidence(
        whole,
        wanted=confidence,
        votes=votes,
        model=options.get("model"),
        temperature=options.get("temperature"),
    )
    return answered(column, asked, otherwise=otherwise, **options)
