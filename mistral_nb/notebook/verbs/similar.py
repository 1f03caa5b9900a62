"""``similar``: how near in meaning two texts of a row are."""

from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.counted import counted
from mistral_nb.notebook.row_verbs import SearchOptions
from mistral_nb.notebook.vector_runs import checked_text, similarity_of_rows, text_to_send, with_vectors

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mistral_nb.engine.column_run import ColumnRun


def similar(column: "pd.Series[Any]", *, to: "pd.Series[Any] | str", **options: Unpack[SearchOptions]) -> Any:
    """Return how near in meaning each text is to the one beside it in another column.

    Parameters
    ----------
    to
        The other column: of a frame its name; of a Series another Series with the same index, or one text that all rows are
        compared with.

    Returns
    -------
    Series of dtype Float64
        Same index and name as the column: the cosine of the angle between the two vectors, from -1 to 1, which is the same
        direction. Missing where one of the two texts is missing, blank or failed.

    Raises
    ------
    InvalidOption, EmptyPrompt
        `to` is neither a Series nor a text, or a blank one, or has another index.
    NotSupported
        The model gives no vectors.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> answers = pd.DataFrame({"said": ["It is broken", "Lovely"], "meant": ["It does not work", "The parcel is late"]})
    >>> same, other = answers.mistral.similar("said", to="meant")
    >>> bool(same > other)
    True
    """
    import pandas as pd

    from mistral_nb.engine.columns import distinct_texts
    from mistral_nb.engine.dtype_families import array_of, in_family
    from mistral_nb.engine.vectors import similarities_of_pairs
    from mistral_nb.errors import InvalidOption

    def as_column(similarities: "np.ndarray[Any, Any]") -> "pd.Series[Any]":
        cells = [None if value != value else value for value in similarities.tolist()]  # NaN is missing
        found = array_of(cells, in_family("Float64", column.dtype))
        return pd.Series(found, index=column.index, name=column.name)

    if not isinstance(to, pd.Series):
        text = text_to_send(checked_text(to, "text to compare with", "The delivery is late"), options)
        return with_vectors(
            column,
            further_texts=[text],
            give=lambda run: as_column(similarity_of_rows(text.text, run.result)),
            **options,
        )
    if not to.index.equals(column.index):
        raise InvalidOption(
            f"The two columns have different indices, of {len(column):,} and {counted(len(to), 'row')}.",
            "Give the other its rows in the same order: to=other.reindex(series.index).",
        )
    distinct_texts(to)  # if it is no text, under its own name

    def of_pairs(run: "ColumnRun") -> "pd.Series[Any]":
        numbers = run.result.texts.numbers
        return as_column(similarities_of_pairs(run.result.values, numbers[: len(column)], numbers[len(column) :]))

    both: pd.Series[Any] = pd.Series(pd.concat([column, to]), name=column.name)
    return with_vectors(both, give=of_pairs, **options)
