"""``classify``: the label that fits each text."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.notebook.row_verbs import VerbOptions, answered

if TYPE_CHECKING:
    import pandas as pd


def classify(column: "pd.Series[Any]", labels: Iterable[str], **options: Unpack[VerbOptions]) -> Any:
    """Return the label that fits each text best.

    Parameters
    ----------
    labels
        At least two distinct labels, e.g. ``["billing", "delivery", "bug"]``.

    Returns
    -------
    Series of dtype category
        Same index and name as the column, categories in the order of `labels`. Missing and blank texts are missing and cause no
        request; rows that failed are missing too, with one warning that counts them.

    Raises
    ------
    InvalidLabels
        Fewer than two labels, one given twice, or one that is blank.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["I was charged twice", None, "The parcel never came"])
    >>> texts.mistral.classify(["billing", "delivery"]).cat.categories.tolist()
    ['billing', 'delivery']
    """
    from mistral_nb.tasks.classify import classify_task

    return answered(column, classify_task(labels), **options)
