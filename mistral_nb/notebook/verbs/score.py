"""``score``: how much of something each text has."""

from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.notebook.row_verbs import VerbOptions, answered

if TYPE_CHECKING:
    import pandas as pd


def score(
    column: "pd.Series[Any]",
    criterion: str,
    *,
    low: float = 0,
    high: float = 10,
    instructions: str | None = None,
    **options: Unpack[VerbOptions],
) -> Any:
    """Return how much of something each text has, as a number in a range.

    Parameters
    ----------
    criterion
        What is rated, e.g. ``"urgency"`` or ``"how likely the customer is to leave"``.
    low, high
        The range: `low` is "not at all", `high` "as much as can be". The model answers in whole numbers: those of the range itself
        where it has 2 to 100 whole steps, otherwise from 0 to 100, which are then spread over the range.
    instructions
        What else to mind, e.g. ``"10 is: somebody is in danger."``

    Returns
    -------
    Series of dtype Float64
        Same index and name as the column, from `low` to `high`. Missing and blank texts are missing and cause no request; rows
        that failed are missing too, with one warning that counts them. Scores rank texts; what a 7 means is the model's own.

    Raises
    ------
    InvalidOption
        A blank criterion, `low` that is not below `high`, or blank `instructions`.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["The server room is on fire!", None, "Could you change the logo some day?"])
    >>> texts.mistral.score("urgency", low=0, high=5).between(0, 5).tolist()
    [True, <NA>, True]
    """
    from mistral_nb.tasks.score import score_task

    return answered(column, score_task(criterion, low=low, high=high, instructions=instructions), **options)
