"""The same rows classified in several ways: which rows, what came, what a thousand of them cost, how long they took.

Keeps to itself: how rows are drawn, and how an answer that was kept from before is priced (as it was when it was asked).
Promises: every way sees the same rows; nothing is asked that is kept already; what is paid for is kept also when a later way fails.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mistral_nb.engine.budget import checked_budget
from mistral_nb.engine.column_run import ColumnRun
from mistral_nb.engine.columns import column_of
from mistral_nb.engine.current import current_session
from mistral_nb.engine.receipt import Receipt
from mistral_nb.errors import BudgetReached, InvalidOption

if TYPE_CHECKING:
    import pandas as pd

Options = Mapping[str, Any]
_PERCENTILE = 0.95
_ROWS_PRICED = 1000


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
    frame: "pd.DataFrame", column: str, *, truth: "str | pd.Series[Any] | None", sample: int | None, random_state: int
) -> Sample:
    """Return so many rows drawn at random from those with a text (and a truth, where one is given), in the frame's order.

    Raises
    ------
    UnknownColumn
        `column` or `truth` is no column.
    InvalidOption
        `sample` is no whole number from 1 up, or no row is left.
    """
    import numpy as np

    if sample is not None and (isinstance(sample, bool) or not isinstance(sample, int) or sample < 1):
        raise InvalidOption(f"sample is {sample!r}.", "Give a whole number from 1 up, or None for all rows.")
    texts = column_of(frame, column)
    truths = column_of(frame, truth) if isinstance(truth, str) else truth
    if truths is not None and not truths.index.equals(frame.index):
        raise InvalidOption("truth has another index than the frame.", "Give the name of a column of the frame.")
    is_usable = texts.notna() & (texts.astype("str").str.strip() != "")
    if truths is not None:
        is_usable &= truths.notna()
    places = np.flatnonzero(is_usable.to_numpy())
    if not len(places):
        needed = "a text" if truths is None else "both a text and a truth"
        raise InvalidOption(f"No row has {needed}.", f"Look at df[{column!r}].isna().sum().")
    if sample is not None and sample < len(places):
        places = np.sort(np.random.default_rng(random_state).choice(places, size=sample, replace=False))
    return Sample(texts=texts.iloc[places], truth=None if truths is None else truths.iloc[places])


def classified(
    sample: Sample, ways: Mapping[str, Options], *, labels: Any, budget_usd: float | None
) -> dict[str, Answers]:
    """Return what each way of asking gives for the sample; `ways` holds options of `classify` by name.

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
        _classify(sample, options, labels, budget_usd=left_usd)
        run = current_session().last_run
        assert run is not None, "a run that did not raise is the last one"
        if any(isinstance(error, BudgetReached) for error in run.result.errors.values()):
            raise _used_up(budget_usd, name)
        found[name] = _answers(run)
        if left_usd is not None:
            left_usd -= found[name].spent_usd or 0
    return found


def receipts(sample: Sample, ways: Mapping[str, Options], *, labels: Any) -> dict[str, Receipt]:
    """Return what each way of asking would send and cost; nothing is sent."""
    return {name: _classify(sample, options, labels, dry_run=True) for name, options in ways.items()}


def _classify(sample: Sample, options: Options, labels: Any, **more: Any) -> Any:
    chosen = {"labels": labels, **options, **more}
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
