"""``df.mistral`` and ``series.mistral`` on Polars frames: import this module once, and the verbs are there.

Keeps to itself: the names under which Polars knows the accessors.
Promises: the table of verbs is the one of pandas' accessors, and so are their arguments, kept answers, budgets and errors. What
they give is Polars': text is String; labels are an Enum in their order; numbers are Float64 and Int64, claims Boolean, moments
Datetime; lists of labels and vectors (of Float32) are a List, objects a Struct; what is missing is null. ``details=True`` gives one
column of Structs, for ``with_columns``; ``.struct.unnest()`` makes the frame of it. Polars has no index: where lines are not the
rows in their order (`last_run.failed`, ``explode=``), the column "row" has its number, and groups have their keys as columns.

Needs the extra ``polars``: ``pip install "mistral_nb[polars]"``.

Examples
--------
>>> import polars as pl, mistral_nb.polars
>>> df = pl.DataFrame({"text": ["I was charged twice", None, "The parcel never came"]})
>>> df.mistral.classify("text", ["billing", "delivery"]).dtype
Enum(categories=['billing', 'delivery'])
>>> df["text"].mistral.summarize(max_words=10).is_null().to_list()
[False, True, False]
"""

from typing import Any, NoReturn

from mistral_nb.errors import ExtraMissing, NotCollected

try:
    import polars as pl
    import pyarrow  # noqa: F401  # pandas and Polars meet in it
except ModuleNotFoundError as missing:
    raise ExtraMissing(
        f"{missing.name} is not installed, without which there are no verbs on Polars frames.",
        'pip install "mistral_nb[polars]"',
    ) from None

from mistral_nb.notebook.accessor import FrameVerbs, SeriesVerbs
from mistral_nb.polars.edge import PolarsEdge

_EDGE = PolarsEdge()


@pl.api.register_series_namespace("mistral")
class PolarsSeriesVerbs(SeriesVerbs):
    """Mistral's verbs on a Polars column of text; see `mistral_nb.polars` for the types they give."""

    _edge = _EDGE


@pl.api.register_dataframe_namespace("mistral")
class PolarsFrameVerbs(FrameVerbs):
    """Mistral's verbs on a Polars frame: each takes the name of the column to read; the types are those of `mistral_nb.polars`."""

    _edge = _EDGE


@pl.api.register_lazyframe_namespace("mistral")
class LazyFrameVerbs:
    """Says that a lazy frame has to be collected first."""

    def __init__(self, frame: pl.LazyFrame) -> None:
        pass

    def __getattr__(self, verb: str) -> NoReturn:
        raise _refused(
            verb,
            f"A LazyFrame has no rows yet that {verb} could ask about.",
            f"Collect it first: df.collect().mistral.{verb}(…)",
        )


@pl.api.register_expr_namespace("mistral")
class ExprVerbs:
    """Says that a verb needs a column, not an expression."""

    def __init__(self, expr: pl.Expr) -> None:
        pass

    def __getattr__(self, verb: str) -> NoReturn:
        raise _refused(
            verb,
            f"An expression has no rows that {verb} could ask about.",
            f'Give the column: df.with_columns(df["text"].mistral.{verb}(…).alias("{verb}"))',
        )


def _refused(verb: str, problem: str, remedy: str) -> Exception:
    """Return the error; for what is no verb the one that Python expects."""
    is_verb: Any = not verb.startswith("_") and hasattr(FrameVerbs, verb)
    return NotCollected(problem, remedy) if is_verb else AttributeError(f"There is no verb {verb!r}.")
