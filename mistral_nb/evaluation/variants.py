"""The same rows classified in several ways: which rows, what came, what a thousand of them cost, how long they took.

Keeps to itself: how rows are drawn, and how an answer that was kept from before is priced (as it was when it was asked).
Promises: every way sees the same rows; what can be known to be wrong with any of them is said before the first is asked; nothing
is asked that is kept already; what is paid for is kept also when a later way fails.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral
from typing import TYPE_CHECKING, Any

from mistral_nb.counted import counted
from mistral_nb.engine.budget import checked_budget
from mistral_nb.engine.column_run import ColumnRun
from mistral_nb.engine.current import current_session
from mistral_nb.engine.receipt import Receipt
from mistral_nb.errors import BudgetReached, InvalidOption
from mistral_nb.evaluation.agreement import can_be_aligned
from mistral_nb.evaluation.label_columns import is_polars, not_collected, refuse_other_than_text
from mistral_nb.notebook.edge import Edge, PandasEdge
from mistral_nb.notebook.runs_made import runs_made
from mistral_nb.tasks.labels import label_set

if TYPE_CHECKING:
    import pandas as pd

Options = Mapping[str, Any]
_PERCENTILE = 0.95
_ROWS_PRICED = 1000
_SHOWN_LABELS = 5
ROW_NUMBER = "row"
# Option: the value that changes nothing, why no other can be, and what to do.
_NOT_COMPARED: Mapping[str, tuple[Any, str, str]] = {
    "background": (False, "the answers are compared when all have come", "Leave background out."),
    "mode": (
        "live",
        "what a batch job will give is not there to compare yet",
        "Leave mode out. What a job of the same classify call has answered is taken without asking again.",
    ),
    "preview": (None, "there is no batch job it could be a preview of", "Leave preview out."),
    "dry_run": (
        False,
        "nothing would be there to compare",
        'Leave it out; df.mistral.classify("text", labels, dry_run=True) with the same options says what a way would cost.',
    ),
    "budget_usd": (None, "the budget is one for both ways together", "Give budget_usd to prompt_diff itself."),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Sample:
    """Rows with a text: `texts`, and `truth` where there is one; same index."""

    texts: "pd.Series[Any]"
    truth: "pd.Series[Any] | None"


@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """What one way of asking gave.

    Attributes
    ----------
    predicted
        One label per row of the sample; missing where the row failed.
    usd_per_1000_rows
        What 1,000 such rows cost when each is asked; None where the price is unknown.
    latency_p95_seconds
        95 of 100 rows were answered within this time from sending; NaN where none was.
    spent_usd
        What was paid now; less than the rows cost where answers were kept. None where the price is unknown.
    """

    predicted: "pd.Series[Any]"
    usd_per_1000_rows: Decimal | None
    latency_p95_seconds: float
    spent_usd: Decimal | None


def drawn_sample(
    frame: Any, column: str, *, truth: "str | pd.Series[Any] | None", sample: int | None, random_state: int
) -> Sample:
    """Return so many rows drawn at random from those with a text (and a truth, where one is given), in the frame's order.

    Raises
    ------
    UnknownColumn
        `column` or `truth` is no column.
    InvalidOption
        `sample` is no whole number from 1 up, `random_state` none from 0 up, the truth is not text, or no row is left.
    NotCollected
        A lazy frame.
    """
    import numpy as np

    if sample is not None and not _is_whole(sample, least=1):
        raise InvalidOption(f"sample is {sample!r}.", "Give a whole number from 1 up, or None for all rows.")
    if not _is_whole(random_state, least=0):
        raise InvalidOption(f"random_state is {random_state!r}.", "Give a whole number from 0 up, e.g. random_state=1.")
    edge = _edge_of(frame)
    texts = edge.named_column(frame, column)
    truths = None if truth is None else _truths(frame, truth, edge)
    if is_polars(frame):
        texts = texts.rename_axis(ROW_NUMBER)
        truths = None if truths is None else truths.rename_axis(ROW_NUMBER)
    is_usable = texts.notna() & (texts.astype("str").str.strip() != "")
    if truths is not None:
        is_usable &= truths.notna()
    places = np.flatnonzero(is_usable.to_numpy(dtype=bool))
    if not len(places):
        needed = "a text" if truths is None else "both a text and a truth"
        columns = [column, truth] if isinstance(truth, str) else [column]
        counted = "null_count()" if is_polars(frame) else "isna().sum()"
        raise InvalidOption(f"No row has {needed}.", f"Look at df[{columns!r}].{counted}.")
    if sample is not None and sample < len(places):
        places = np.sort(np.random.default_rng(random_state).choice(places, size=sample, replace=False))
    return Sample(texts=texts.iloc[places], truth=None if truths is None else truths.iloc[places])


def _edge_of(frame: Any) -> Edge:
    """Return what reads a frame's columns; InvalidOption for what is no frame of pandas or Polars."""
    import pandas as pd

    if isinstance(frame, pd.DataFrame):
        return PandasEdge()
    kind = type(frame).__name__
    if is_polars(frame) and kind == "LazyFrame":
        raise not_collected(frame, name="The frame")
    if is_polars(frame) and kind == "DataFrame":
        from mistral_nb.polars.edge import PolarsEdge

        return PolarsEdge()
    computed = " Of a Dask frame: df.compute()." if hasattr(frame, "compute") else ""
    raise InvalidOption(
        f"The frame is a {type(frame).__module__.partition('.')[0]} {kind}, and a frame of pandas or Polars is read.",
        f'Give the frame, then the name of its column, e.g. (df, "text", labels).{computed}',
    )


def _truths(frame: Any, truth: Any, edge: Edge) -> "pd.Series[Any]":
    """Return the true labels beside the frame's rows, which are text."""
    import pandas as pd

    is_series = isinstance(truth, pd.Series) or (is_polars(truth) and type(truth).__name__ == "Series")
    if not (is_series and is_polars(truth) == is_polars(frame)) and not isinstance(truth, str | int):
        made = "pl.Series(list(truth))" if is_polars(frame) else "pd.Series(list(truth), index=df.index)"
        remedy = 'Give the name of a column of the frame, e.g. truth="topic"'
        raise InvalidOption(
            f"truth is a {type(truth).__name__}.",
            f"{remedy}." if hasattr(type(truth), "columns") else f"{remedy}, or truth={made}.",
        )
    truths: pd.Series[Any] = edge.further_column(frame, truth)
    if isinstance(truth, pd.Series) and not truth.index.equals(frame.index):
        line = "truth=truth.loc[df.index]" if can_be_aligned(frame.index, truth.index) else 'truth="topic"'
        raise InvalidOption(
            f"truth has another index than the frame ({counted(len(truth), 'row')}, and {len(frame):,} in the frame).",
            f"Give the truth of the frame's rows, in their order, or make it a column and give its name: {line}",
        )
    given = truth if is_series else frame[truth] if is_polars(frame) else truths
    refuse_other_than_text(truths, given=given, place="truth" if is_series else f"df[{truth!r}]")
    return truths


def _is_whole(value: Any, *, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def settled(options: Options) -> Options:
    """Return the options with what can be gone through only once as a list, since every way needs it."""
    return {name: list(value) if isinstance(value, Iterator) else value for name, value in options.items()}


def check_ways(ways: Mapping[str, Options], rows: Sample, *, budget_usd: float | None) -> None:
    """Raise for a way of asking that `classify` refuses, or that gives nothing to compare; nothing is sent.

    Raises
    ------
    MistralNotebookError
        What `classify` raises for options and labels.
    InvalidOption
        An option that gives no label now, or a truth that is none of the labels.
    """
    budget = checked_budget(budget_usd)
    for options in ways.values():
        for name, (plain, why, remedy) in _NOT_COMPARED.items():
            if name in options and options[name] != plain:
                raise InvalidOption(f"{name} is {options[name]!r}, and {why}.", remedy)
    is_several = {bool(options.get("multi_label", False)) for options in ways.values()}
    columns = any(options.get("multi_label") == "columns" for options in ways.values())
    if is_several != {False} and (rows.truth is not None or len(is_several) > 1 or columns):
        several = next(options["multi_label"] for options in ways.values() if options.get("multi_label"))
        raise InvalidOption(
            f"multi_label is {several!r}, and a row with several labels is not right or wrong as a whole.",
            'Look at one label at a time: found = df.mistral.classify("text", labels, multi_label="columns"), then '
            'mistral_nb.evaluate(found["billing"], df["is_billing"]).',
        )
    none = Sample(texts=rows.texts.iloc[:0], truth=None)
    for options in ways.values():
        _classify(none, options, budget_usd=budget, dry_run=True)
    if rows.truth is not None:
        _refuse_other_labels(ways, rows.truth)


def _refuse_other_labels(ways: Mapping[str, Options], truth: "pd.Series[Any]") -> None:
    labels = {
        label: None
        for options in ways.values()
        for label in label_set(options["labels"], other=options.get("other")).names
    }
    true = truth.value_counts().index.tolist()
    if not labels.keys() & true:
        raise InvalidOption(
            f"The truth is never one of the labels: it holds {', '.join(map(repr, true[:_SHOWN_LABELS]))}, and the labels are "
            f"{', '.join(map(repr, labels))}.",
            f"Write both alike, e.g. with labels={sorted(map(str, true))[:_SHOWN_LABELS]!r}.",
        )


def classified(sample: Sample, ways: Mapping[str, Options], *, budget_usd: float | None) -> dict[str, Answers]:
    """Return what each way of asking gives for the sample; `ways` holds options of `classify` by name, labels among them.

    Raises
    ------
    BudgetReached
        The ways together would cost more than `budget_usd`; what is answered is kept.
    """
    left_usd = checked_budget(budget_usd)
    found: dict[str, Answers] = {}
    for name, options in ways.items():
        if left_usd is not None and left_usd <= 0:
            raise _used_up(budget_usd, name)
        with runs_made() as runs:
            _classify(sample, options, budget_usd=left_usd)
        (run,) = runs
        reached = next((error for error in run.result.errors.values() if isinstance(error, BudgetReached)), None)
        if reached is not None:
            raise reached if left_usd is None else _used_up(budget_usd, name) from reached
        found[name] = _answers(run)
        if left_usd is not None:
            left_usd -= found[name].spent_usd or 0
    return found


def receipts(sample: Sample, ways: Mapping[str, Options]) -> dict[str, Receipt]:
    """Return what each way of asking would send and cost; nothing is sent."""
    return {name: _classify(sample, options, dry_run=True) for name, options in ways.items()}


def _classify(sample: Sample, options: Options, **more: Any) -> Any:
    chosen = {**options, **more}
    return sample.texts.mistral.classify(chosen.pop("labels"), **chosen)


def _answers(run: ColumnRun) -> Answers:
    column: Any = run.column
    return Answers(
        predicted=column if column.ndim == 1 else column.iloc[:, 0],  # the label comes first
        usd_per_1000_rows=_usd_per_1000_rows(run),
        latency_p95_seconds=float(run.details["latency_seconds"].astype("float64").quantile(_PERCENTILE)),
        spent_usd=run.result.cost_usd,
    )


def _usd_per_1000_rows(run: ColumnRun) -> Decimal | None:
    """Return the mean price of a distinct text's answer, times 1,000."""
    session, cascade = current_session(), run.cascade
    if cascade is not None:
        return (
            cascade.cost_usd / cascade.texts * _ROWS_PRICED if cascade.texts and cascade.cost_usd is not None else None
        )
    prices = [row.cost_usd for row in run.result.paid.values()]
    prices += [session.cost_usd(run.result.model, answer.usage) for answer in run.kept_answers.values()]
    known = [price for price in prices if price is not None]
    if not prices or len(known) < len(prices):
        return None
    return sum(known, Decimal(0)) / len(prices) * _ROWS_PRICED


def _used_up(budget_usd: float | None, name: str) -> BudgetReached:
    return BudgetReached(
        f"The budget of ${budget_usd} is used up at {name!r}.",
        "Run it again with a larger budget_usd, or a smaller sample: what is answered is kept and not paid for again.",
    )
