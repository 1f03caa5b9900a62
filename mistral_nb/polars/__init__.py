"""``df.mistral`` and ``series.mistral`` on Polars frames: import this module once, and the verbs are there.

Keeps to itself: the names under which Polars knows the accessors.
Promises: the table of verbs is the one of pandas' accessors, and so are their arguments, kept answers, budgets and errors. What
they give is Polars': text is String; labels are an Enum in their order; numbers are Float64 and Int64, claims Boolean, moments
Datetime; lists of labels and vectors (of Float32) are a List, objects a Struct, or where their names differ from row to row a Map
(in Polars 1 a List of key and value); what is missing is null. ``details=True`` gives one column of Structs, for ``with_columns``;
``.struct.unnest()`` makes the frame of it. Polars has no index: where lines are not the rows in their order (`last_run.failed`,
``explode=``), the column "row" has its number, and groups have their keys as columns.

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

import functools
import inspect
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

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
from mistral_nb.notebook.edge import Verbs
from mistral_nb.polars.edge import PolarsEdge

_EDGE = PolarsEdge()
_LEAD = """On Polars: where it says category, the type is an Enum; str is String, object a List or Struct, missing null; for the
index see `mistral_nb.polars`. Otherwise as on pandas, for which the examples are written:

"""


def _documented(verbs: type[Verbs]) -> type[Verbs]:
    """Return the accessor whose verbs say what is Polars' own about them."""
    for name, verb in inspect.getmembers(verbs, inspect.isfunction):
        if not name.startswith("_"):
            setattr(verbs, name, _with_lead(verb))
    return verbs


def _with_lead(verb: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(verb)
    def method(self: Verbs, /, *args: Any, **kwargs: Any) -> Any:
        return verb(self, *args, **kwargs)

    method.__doc__ = _LEAD + (inspect.getdoc(verb) or "")
    return method


@pl.api.register_series_namespace("mistral")
@_documented
class PolarsSeriesVerbs(SeriesVerbs):
    """Mistral's verbs on a Polars column of text; see `mistral_nb.polars` for the types they give."""

    _edge = _EDGE


@pl.api.register_dataframe_namespace("mistral")
@_documented
class PolarsFrameVerbs(FrameVerbs):
    """Mistral's verbs on a Polars frame: each takes the name of the column to read; the types are those of `mistral_nb.polars`."""

    _edge = _EDGE


class _WithoutRows:
    """Says what has to be done first."""

    _problem: ClassVar[str]
    _remedy: ClassVar[str]

    def __init__(self, subject: pl.LazyFrame | pl.Expr) -> None:
        pass

    def __getattr__(self, verb: str) -> NoReturn:
        if verb.startswith("_") or not hasattr(FrameVerbs, verb):
            raise AttributeError(f"There is no verb {verb!r}.")
        raise NotCollected(self._problem.format(verb=verb), self._remedy.format(verb=verb))


@pl.api.register_lazyframe_namespace("mistral")
class LazyFrameVerbs(_WithoutRows):
    """Says that a lazy frame has to be collected first."""

    _problem = "A LazyFrame has no rows yet that {verb} could ask about."
    _remedy = "Collect it first: df.collect().mistral.{verb}(…)"


@pl.api.register_expr_namespace("mistral")
class ExprVerbs(_WithoutRows):
    """Says that a verb needs a column, not an expression."""

    _problem = "An expression has no rows that {verb} could ask about."
    _remedy = 'Give the column: df.with_columns(df["text"].mistral.{verb}(…).alias("{verb}"))'
