"""``search``: the rows that mean what is looked for."""

from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.notebook.row_verbs import SearchOptions
from mistral_nb.notebook.vector_runs import checked_text, similarity_of_rows, text_to_send, with_texts, with_vectors

if TYPE_CHECKING:
    import pandas as pd

    from mistral_nb.engine.column_run import ColumnRun

DEFAULT_K = 5


def search(column: "pd.Series[Any]", query: str, *, k: int = DEFAULT_K, **options: Unpack[SearchOptions]) -> Any:
    """Return the rows whose texts are nearest in meaning to a query, best first.

    Every row is compared, exactly, so that none is overlooked. Once their vectors are kept, 100 000 rows take a few seconds, most
    of them to read the vectors (3.2 s of processor time in all, 0.8 s to compare; 2026-11, two cores). From a million on, an index
    such as faiss, hnswlib or a vector database is worth its trouble; a warning says so. Build it from ``embed(as_array=True)``.

    Parameters
    ----------
    query
        What to look for, in a few words or as a sentence. The words need not occur in the rows.
    k
        How many rows; all of them where there are fewer. Rows without text are never found.

    Returns
    -------
    DataFrame
        Index labels of the rows; columns: the text, under the column's name ("text" where it has none, or the name of another of
        these); similarity (float64), the cosine of the angle between the vectors, 1 for the same direction; position (int64) of
        the row, so that ``df.iloc[found["position"]]`` gives the whole rows.

    Raises
    ------
    EmptyPrompt, InvalidOption
        The query is blank; `k` is not a whole number from 1 up.
    NotSupported
        The model gives no vectors.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["I was charged twice", "The parcel never came", "The app crashes"], name="text")
    >>> texts.mistral.search("late delivery", k=1)["text"].tolist()
    ['The parcel never came']
    """
    from mistral_nb.engine.dtype_families import beside
    from mistral_nb.engine.vectors import nearest
    from mistral_nb.tasks.length import checked_count

    k = checked_count(k, name="k")
    masked_query = text_to_send(checked_text(query, "query", "late delivery"), options)

    def found(run: "ColumnRun") -> "pd.DataFrame":
        similarities = similarity_of_rows(masked_query.text, run.result)
        positions = nearest(similarities, k)
        return with_texts(
            column,
            positions,
            similarity=beside(similarities[positions].astype(float), column.dtype),
            position=beside(positions, column.dtype),
        )

    return with_vectors(column, verb="search", further_texts=[masked_query], give=found, **options)
