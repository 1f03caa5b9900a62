"""Vectors of a column, for all verbs that compare texts.

Promises: `embed`, `search`, `similar` and `answer` ask the same questions, so that a text's vector is paid for once for all of
them.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.engine.chat_request import shortened
from mistral_nb.errors import EmptyPrompt, InvalidOption
from mistral_nb.notebook.row_verbs import RowOptions, SearchOptions, answered
from mistral_nb.readers_code import readers_stacklevel

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mistral_nb.engine.column_run import ColumnRun
    from mistral_nb.engine.rows import RowsResult
    from mistral_nb.engine.session import Session
    from mistral_nb.masking.masked_text import MaskedText
    from mistral_nb.tasks.embed import Embed

# Of a model that the catalogue does not know: texts longer than a quarter of it are sent alone.
_LIKELY_CONTEXT_TOKENS = 2048
MOST_COMPARED_ONE_BY_ONE = 1_000_000


def with_vectors(
    column: "pd.Series[Any]",
    *,
    verb: str = "embed",
    further_texts: "Sequence[MaskedText]" = (),
    give: "Callable[[ColumnRun], Any] | None" = None,
    **options: Unpack[RowOptions],
) -> Any:
    """Return what `give` makes of a run that embeds the column; parameters as in `mistral_nb.notebook.row_verbs.answered`."""
    from mistral_nb.engine.current import current_session

    session = current_session()
    model = options["model"] = session.embedding_model(options.get("model"))
    return answered(column, embed_task(model, session), verb=verb, further_texts=further_texts, give=give, **options)


def embed_task(model: str, session: "Session") -> "Embed":
    """Return the task that embeds texts with this model."""
    from mistral_nb.notebook.context_window import window_tokens
    from mistral_nb.tasks.embed import Embed

    return Embed(window_tokens(model, session) or _LIKELY_CONTEXT_TOKENS)


def similarity_of_rows(query: str, result: "RowsResult") -> "np.ndarray[Any, np.dtype[np.float32]]":
    """Return how near each row of a run is to a text that was asked along with it: shape (rows,), NaN for a row without a vector.

    Raises
    ------
    MistralNotebookError
        What kept the text itself from being embedded.
    """
    import numpy as np

    from mistral_nb.engine.vectors import similarities_to

    number = result.texts.texts.index(query) if result.texts.texts else None
    if number in result.errors:
        raise result.errors[number]
    if (
        number is None or result.values[number] is None
    ):  # there is no text, or the run was cancelled before it came to it
        return np.full(len(result.texts.numbers), np.nan, dtype=np.float32)
    if len(result.values) > MOST_COMPARED_ONE_BY_ONE:
        warnings.warn(
            f"{len(result.values):,} vectors were compared one by one. An index (faiss, hnswlib, a vector database) finds nearly "
            "the same rows sooner; df.mistral.embed(…, as_array=True) gives the vectors for it.",
            stacklevel=readers_stacklevel(),
        )
    similarities = np.full(len(result.values) + 1, np.nan, dtype=np.float32)  # the last place is the one of -1
    similarities[:-1] = similarities_to(result.values[number], result.values)
    of_rows: np.ndarray[Any, np.dtype[np.float32]] = similarities[result.texts.numbers]
    return of_rows


def with_texts(column: "pd.Series[Any]", positions: "np.ndarray[Any, Any]", **found: Any) -> "pd.DataFrame":
    """Return a frame of the texts at these positions and what was found of each, with their index labels.

    The texts are under the column's name, or under "text" where it has none, or one of those in `found`.
    """
    import pandas as pd

    name = "text" if column.name is None or column.name in found else column.name
    columns: dict[Any, Any] = {name: column.array[positions], **found}
    return pd.DataFrame(columns, index=column.index[positions])


def text_to_send(text: str, options: SearchOptions) -> "MaskedText":
    """Return a text that goes along with a column, masked if the column is."""
    from mistral_nb.engine.masked_column import masked_query

    return masked_query(text, options.get("mask", False))


def checked_text(text: Any, name: str, example: str) -> str:
    """Return the text; EmptyPrompt when it is blank, InvalidOption when it is no text."""
    if not isinstance(text, str):
        raise InvalidOption(f"The {name} is {shortened(text)}.", f"Give a text, e.g. {example!r}.")
    if not text.strip():
        raise EmptyPrompt(f"The {name} is blank.", f"Write one, e.g. {example!r}.")
    return text
