"""Lazy methods, made of those of pandas' accessor: one call of the verb for each partition.

Keeps to itself: which columns a verb reads, so that no others are loaded, and which verbs and options make sense only on the whole.
Promises: everything that is wrong with a call is said at once, and the form of the result is known, without asking a model: the
verb itself runs on no rows. What needs all rows at the same time is refused with the lines that do it.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd
from dask.dataframe import Series
from dask.dataframe.dispatch import make_meta, meta_nonempty

from mistral_nb.dask.call import verb_call
from mistral_nb.engine.columns import column_of, distinct_texts
from mistral_nb.errors import InvalidOption, NotSupported
from mistral_nb.notebook.accessor import FrameVerbs, SeriesVerbs
from mistral_nb.notebook.parts import without_asking
from mistral_nb.notebook.verb_methods import no_option
from mistral_nb.tasks.templates import parsed_template

_ALL_ROWS = {
    "answer": (
        'near = ddf.mistral.search("text", question, k=20).compute()\nanswer = near.mistral.answer(question, "text")'
    ),
    "compare_prices": 'ddf.head(400, npartitions=-1).mistral.compare_prices("text")',
    "suggest_schema": 'ddf.head(1000, npartitions=-1).mistral.suggest_schema("text", "what I am after")',
}
_LEAD = "Lazy: the verb runs on each partition when the result is computed. Otherwise as on pandas:\n\n"

Method = Callable[..., Any]


def on_lazy_series(verb: str) -> Method:
    """Return the verb as a method of ``series.mistral``."""
    pandas_method: Method = getattr(SeriesVerbs, verb)

    def read(series: Any, given: dict[str, Any]) -> tuple[Any, list[Any]]:
        other = given.get("to")
        if verb != "similar" or isinstance(other, str):
            return series, []
        if not isinstance(other, Series):
            raise InvalidOption(
                f"The other column is a {type(other).__name__}.",
                "Give a Dask Series with the same partitions, or a text.",
            )
        if other.npartitions != series.npartitions:
            raise InvalidOption(
                f"The two columns have {series.npartitions:,} and {other.npartitions:,} partitions.",
                'Put both into one frame: ddf.mistral.similar("text", to="other").',
            )
        del given["to"]
        return series, [other]

    return _lazy_method(verb, pandas_method, read)


def on_lazy_frame(verb: str) -> Method:
    """Return the verb as a method of ``df.mistral``; of the frame, only the columns that the verb reads are loaded."""
    pandas_method: Method = getattr(FrameVerbs, verb)

    def read(frame: Any, given: dict[str, Any]) -> tuple[Any, list[Any]]:
        if verb == "ask":
            names: list[Any] = list(parsed_template(given["template"], list(frame.columns)).fields)
        else:
            names = [given["column"], *([given["to"]] if verb == "similar" else [])]
        for name in names:
            column_of(make_meta(frame), name)
        return frame[list(dict.fromkeys(names))], []

    return _lazy_method(verb, pandas_method, read)


def _lazy_method(
    verb: str, pandas_method: Method, read: Callable[[Any, dict[str, Any]], tuple[Any, list[Any]]]
) -> Method:
    """Return the method; `read` gives what is mapped, and what beside it, for the arguments, and takes those that are neither."""
    signature = inspect.signature(pandas_method)

    def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        _refuse_what_needs_all_rows(verb, kwargs)
        given = _bound(self, signature, verb, args, kwargs)
        subject, others = read(self._subject, given)
        _check_text(subject, verb)
        meta = _meta(subject, verb, given, others)
        shown = None
        if verb == "search":  # positions in a partition are nobody's
            meta = shown = meta.drop(columns="position")
        elif verb == "moderate":
            shown = meta
        call = verb_call(verb, given, columns=None if shown is None else dict(shown.dtypes))
        parts = subject.map_partitions(call, *others, meta=meta)
        return parts.nlargest(given.get("k", _default(signature, "k")), "similarity") if verb == "search" else parts

    method.__signature__ = signature  # type: ignore[attr-defined]
    method.__name__ = method.__qualname__ = verb
    method.__module__ = __name__
    method.__doc__ = _LEAD + (inspect.getdoc(pandas_method) or "").partition("\n\nExamples\n--------")[0]
    return method


def _bound(
    self: Any, signature: inspect.Signature, verb: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments by name."""
    names = [name for name in signature.parameters if name != "self"]
    for name in kwargs:
        if name not in names:
            raise no_option(name, names)
    try:
        given = signature.bind(self, *args, **kwargs).arguments
    except TypeError as error:
        raise TypeError(f"{verb}: {error}") from None
    del given["self"]
    # What can be read but once can't be read again by the next partition.
    return {name: list(value) if isinstance(value, Iterator) else value for name, value in given.items()}


def _default(signature: inspect.Signature, name: str) -> Any:
    return signature.parameters[name].default


def _refuse_what_needs_all_rows(verb: str, options: Mapping[str, Any]) -> None:
    """Raise for a verb, or an option, that is about all rows at once."""
    if verb in _ALL_ROWS:
        raise NotSupported(
            f"{verb} reads rows of all partitions at once, and a Dask frame has them one after the other.",
            f"Take the rows that matter into pandas:\n{_ALL_ROWS[verb]}",
        )
    if verb == "summarize" and (options.get("whole") or options.get("by") is not None):
        raise NotSupported(
            "A summary of many rows gathers them from all partitions.",
            "Summarize the rows on the cluster, and these summaries in pandas:\n"
            'short = ddf.assign(short=ddf.mistral.summarize("text"))[["group", "short"]].compute()\n'
            'short.mistral.summarize("short", by="group")  # or whole=True',
        )
    if options.get("dry_run"):
        raise InvalidOption(
            "dry_run=True counts all texts, which are not there before they are computed.",
            f"Count those of one partition: ddf.get_partition(0).compute().mistral.{verb}(…, dry_run=True)",
        )
    if options.get("background"):
        raise InvalidOption(
            "A Dask column is computed in the background by its own means.",
            "future = distributed.Client(…).compute(column); future.cancel() stops its requests.",
        )
    if options.get("mode", "live") != "live" or options.get("preview") is not None:
        raise InvalidOption(
            "Batch jobs are made of all rows at once.",
            f'Make them of a part in pandas: ddf.get_partition(0).compute().mistral.{verb}(…, mode="batch")',
        )
    if options.get("as_array"):
        raise InvalidOption(
            "as_array=True makes one array of all rows.",
            "Leave it out, and stack what you compute: numpy.vstack(ddf.mistral.embed(…).dropna().compute())",
        )


def _check_text(subject: Any, verb: str) -> None:
    """Raise NotText for columns whose dtype holds no text; `ask` takes numbers, too, and of objects only the partitions know."""
    if verb == "ask":
        return
    sample = meta_nonempty(make_meta(subject))
    for column in [sample] if isinstance(sample, pd.Series) else [sample[name] for name in sample.columns]:
        if column.dtype != object:
            distinct_texts(column)


def _meta(subject: Any, verb: str, given: Mapping[str, Any], others: list[Any]) -> Any:
    """Return what the verb gives for no rows."""
    further = {"to": make_meta(others[0])} if others else {}
    with without_asking():
        return getattr(make_meta(subject).mistral, verb)(**given, **further)
