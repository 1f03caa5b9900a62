"""``embed``: a vector for each text."""

from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.notebook.row_verbs import RowOptions
from mistral_nb.notebook.vector_runs import with_vectors

if TYPE_CHECKING:
    import pandas as pd

    from mistral_nb.engine.column_run import ColumnRun


def embed(column: "pd.Series[Any]", *, as_array: bool = False, **options: Unpack[RowOptions]) -> Any:
    """Return the vector that stands for each text's meaning: texts that mean the like have vectors that point the same way.

    Default model: mistral-embed (1024 dimensions); without a key, local-embed (384 dimensions).

    Parameters
    ----------
    as_array
        Return one two-dimensional array, e.g. for scikit-learn.

    Returns
    -------
    Series of dtype object
        Same index and name as the column; in each row a float32 array of shape (dimensions,), which equal texts share and which
        can't be written to. Missing and blank texts are missing and cause no request; rows that failed are missing too, with one
        warning that counts them.
    ndarray
        With ``as_array=True``: float32, shape (rows, dimensions), in the order of the rows; NaN where a Series would be missing.

    Raises
    ------
    NotSupported
        The model gives no vectors.
    InvalidOption
        `as_array` and `details` are both given.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["The parcel is late", None, "Where is my delivery?"])
    >>> texts.mistral.embed(as_array=True).shape
    (3, 384)
    """
    from mistral_nb.engine.vectors import matrix_of
    from mistral_nb.errors import InvalidOption

    if not isinstance(as_array, bool):
        raise InvalidOption(f"as_array is {as_array!r}.", "Give as_array=True or as_array=False.")
    if as_array and options.get("details"):
        raise InvalidOption("as_array=True gives numbers only, and details=True a frame.", "Leave one out.")

    def array(run: "ColumnRun") -> Any:
        return matrix_of(run.result.values, run.result.texts.numbers)

    return with_vectors(column, give=array if as_array else None, **options)
