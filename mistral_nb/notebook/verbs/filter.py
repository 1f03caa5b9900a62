"""``filter``: which texts meet a condition."""

from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.notebook.row_verbs import VerbOptions, answered

if TYPE_CHECKING:
    import pandas as pd


def filter(  # noqa: A001  # the verb's name
    column: "pd.Series[Any]", condition: str, *, instructions: str | None = None, **options: Unpack[VerbOptions]
) -> Any:
    """Return for each text whether it meets a condition: a mask, to be put in brackets.

    Parameters
    ----------
    condition
        In words, e.g. ``"mentions a competitor"``.
    instructions
        What else to mind, e.g. ``"Shops of our own are no competitors."``

    Returns
    -------
    Series of dtype boolean
        Same index and name as the column. Missing and blank texts are missing and cause no request; rows that failed are missing
        too, with one warning that counts them. In brackets, ``df[mask]`` and ``df[~mask]``, pandas leaves missing ones out: neither
        keeps a row whose answer failed.

    Raises
    ------
    InvalidOption
        A condition that is blank or no text, or blank `instructions`.

    Notes
    -----
    The embedded model scores "yes" and "no", whatever the `instructions`, and is often wrong: offline, `classify` with two labels
    finds a topic more often. A condition that goes on from "this text …" is understood best.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> df = pd.DataFrame({"text": ["Your rival is cheaper.", None, "The parcel never came."]})
    >>> mask = df.mistral.filter("text", "mentions a competitor")
    >>> str(mask.dtype), len(df[mask]) + len(df[~mask])
    ('boolean', 2)
    """
    from mistral_nb.tasks.filter import filter_task

    return answered(column, filter_task(condition, instructions=instructions), **options)
