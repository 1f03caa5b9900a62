"""``ddf.mistral`` and ``ddf["text"].mistral``: a table of contents, no state.

Promises: importing this module registers both accessors. What a verb does is said where pandas' is defined
(`mistral_nb.notebook.verbs`), how it becomes lazy in `mistral_nb.dask.lazy_verbs`.
"""

from typing import Any

from dask.dataframe.extensions import register_dataframe_accessor, register_series_accessor

from mistral_nb.dask.lazy_verbs import on_lazy_frame, on_lazy_series


class _Verbs:
    """What both have beside the verbs."""

    def __init__(self, subject: Any) -> None:
        self._subject = subject

    def __getattr__(self, name: str) -> Any:
        told = f"There is no {name!r} among Mistral's verbs on Dask."
        if name in ("last_run", "last_job"):
            told = (
                f"There is no {name} on Dask: each partition is a run of its own, wherever it is computed.\n"
                "details=True gives the error of each row; computing the column again asks only the missing ones."
            )
        raise AttributeError(told, name=name, obj=self)


@register_series_accessor("mistral")
class SeriesVerbs(_Verbs):
    """Mistral's verbs on a lazy column of text."""

    answer = on_lazy_series("answer")
    ask = on_lazy_series("ask")
    classify = on_lazy_series("classify")
    compare_prices = on_lazy_series("compare_prices")
    embed = on_lazy_series("embed")
    extract = on_lazy_series("extract")
    filter = on_lazy_series("filter")
    fix_grammar = on_lazy_series("fix_grammar")
    mask = on_lazy_series("mask")
    moderate = on_lazy_series("moderate")
    score = on_lazy_series("score")
    search = on_lazy_series("search")
    sentiment = on_lazy_series("sentiment")
    similar = on_lazy_series("similar")
    suggest_schema = on_lazy_series("suggest_schema")
    summarize = on_lazy_series("summarize")
    translate = on_lazy_series("translate")


@register_dataframe_accessor("mistral")
class FrameVerbs(_Verbs):
    """Mistral's verbs on a lazy frame: each takes the name of the column to read."""

    answer = on_lazy_frame("answer")
    ask = on_lazy_frame("ask")
    classify = on_lazy_frame("classify")
    compare_prices = on_lazy_frame("compare_prices")
    embed = on_lazy_frame("embed")
    extract = on_lazy_frame("extract")
    filter = on_lazy_frame("filter")
    fix_grammar = on_lazy_frame("fix_grammar")
    mask = on_lazy_frame("mask")
    moderate = on_lazy_frame("moderate")
    score = on_lazy_frame("score")
    search = on_lazy_frame("search")
    sentiment = on_lazy_frame("sentiment")
    similar = on_lazy_frame("similar")
    suggest_schema = on_lazy_frame("suggest_schema")
    summarize = on_lazy_frame("summarize")
    translate = on_lazy_frame("translate")
