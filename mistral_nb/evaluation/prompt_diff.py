"""Two ways of asking beside each other on the same rows: which answers flip, and what either costs.

Promises: works without a truth; with one it also says which way is right more often, and whether that is more than chance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

from mistral_nb.errors import InvalidOption
from mistral_nb.evaluation.agreement import Evaluation, evaluate, right_rows
from mistral_nb.evaluation.comparison import DEFAULT_SAMPLE
from mistral_nb.evaluation.intervals import Interval, paired_p_value, share_interval
from mistral_nb.evaluation.variants import Options, check_ways, classified, drawn_sample, settled

if TYPE_CHECKING:
    import pandas as pd

_SHOWN_FLIPS = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class PromptDiff:
    """Which answers flip between two ways of asking; what `prompt_diff` returns.

    Attributes
    ----------
    rows
        Rows that were asked both ways.
    unanswered
        Of them, rows without an answer the first and the second way; a row that has one only one way flips.
    flips
        Frame of the rows that were answered differently: text, first, second, and truth where there is one.
    flip_rate, flip_rate_interval
        Their share of `rows`, and its 95 % interval.
    usd_per_1000_rows
        Price of 1,000 rows the first and the second way; None where it is unknown.
    evaluations
        The `Evaluation` of the first and the second way; None without a truth.
    p_value
        How often chance alone would favour one way as much (exact McNemar); None without a truth.

    Examples
    --------
    >>> import mistral_nb
    >>> tickets = mistral_nb.load_sample("tickets").head(3)
    >>> topics = ["billing", "delivery", "bug", "praise"]
    >>> found = mistral_nb.prompt_diff(tickets, "text", topics, {}, {"other": "other"}, truth="topic")
    >>> found.flips.columns.tolist()
    ['text', 'first', 'second', 'truth']
    """

    rows: int
    unanswered: tuple[int, int]
    flips: "pd.DataFrame"
    flip_rate: float
    flip_rate_interval: Interval
    usd_per_1000_rows: tuple[Decimal | None, Decimal | None]
    evaluations: tuple[Evaluation, Evaluation] | None
    p_value: float | None

    def __str__(self) -> str:
        table = f"\n\n{self.flips.head(_SHOWN_FLIPS).to_string(max_colwidth=60)}" if len(self.flips) else ""
        return f"{self._summary}{table}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        table = self.flips.head(_SHOWN_FLIPS).to_html() if len(self.flips) else ""
        return f'<div class="mistral-nb mathjax_ignore"><p>{escape(self._summary)}</p>{table}</div>'

    @property
    def _summary(self) -> str:
        low, high = self.flip_rate_interval
        prices = " and ".join("unknown" if price is None else f"${price:.4f}" for price in self.usd_per_1000_rows)
        flips = "answer flips" if self.rows == 1 else "answers flip"
        parts = [
            f"{len(self.flips):,} of {self.rows:,} {flips} ({self.flip_rate:.1%}, 95 % interval {low:.1%} to {high:.1%})",
            f"1,000 rows cost {prices}",
        ]
        if any(self.unanswered):
            parts.append("without an answer: {:,} and {:,}".format(*self.unanswered))
        if self.evaluations is not None:
            first, second = self.evaluations
            parts.append(f"right: {first.accuracy:.1%} and {second.accuracy:.1%}, p = {self.p_value:.3f}")
        return "; ".join(parts) + "."


def prompt_diff(
    frame: "pd.DataFrame",
    column: str,
    labels: Any,
    first: Options,
    second: Options,
    *,
    truth: "str | pd.Series[Any] | None" = None,
    sample: int | None = DEFAULT_SAMPLE,
    random_state: int = 0,
    budget_usd: float | None = None,
) -> PromptDiff:
    """Return which answers flip between two ways of classifying the same rows.

    Parameters
    ----------
    frame, column, labels
        As in `df.mistral.classify`. Of a Polars frame the rows have their numbers as index in what is returned, which is pandas.
    first, second
        Options of `classify` for either way, e.g. ``{"model": "small"}`` and ``{"model": "large"}``; ``{"labels": …}`` takes the
        place of `labels`. Not those that give no label to compare now (`background`, `mode`, `dry_run`), nor `budget_usd`, which is
        one of both ways together; `multi_label` only both ways, and without a truth.
    truth
        Column of the true labels, which are text, or a Series with the frame's index; rows without one are left out.
    sample, random_state
        How many rows to draw (None: all), and which.
    budget_usd
        Most that both ways together may cost.

    Returns
    -------
    PromptDiff
        `.flips`, `.flip_rate`, `.usd_per_1000_rows`, and with a truth `.evaluations` and `.p_value`.

    Raises
    ------
    InvalidOption
        No usable row, a truth that is never one of the labels, or an option that `classify` does not have or that gives nothing to
        compare. Nothing was sent.
    UnknownColumn, NotCollected
        The frame has no such column, or is a lazy one.
    BudgetReached
        The budget does not suffice; what is answered is kept.

    Examples
    --------
    >>> import mistral_nb
    >>> tickets = mistral_nb.load_sample("tickets")
    >>> topics = ["billing", "delivery", "bug", "praise"]
    >>> same = mistral_nb.prompt_diff(tickets, "text", topics, {}, {}, sample=5)
    >>> same.flip_rate
    0.0
    """
    import pandas as pd

    rows = drawn_sample(frame, column, truth=truth, sample=sample, random_state=random_state)
    labels = settled({"labels": labels})["labels"]
    ways = {"first": _checked_way("first", first, labels), "second": _checked_way("second", second, labels)}
    check_ways(ways, rows, budget_usd=budget_usd)
    found = classified(rows, ways, budget_usd=budget_usd)
    answers = pd.DataFrame({name: way.predicted.astype(object) for name, way in found.items()})
    is_open = answers.isna()
    has_flipped = ~(right_rows(answers["first"], answers["second"]) | is_open.all(axis=1).to_numpy())
    flips = answers[has_flipped].assign(text=rows.texts[has_flipped])[["text", "first", "second"]]
    evaluations, p_value = None, None
    if rows.truth is not None:
        flips["truth"] = rows.truth[has_flipped]
        evaluations = evaluate(answers["first"], rows.truth), evaluate(answers["second"], rows.truth)
        is_right = [right_rows(answers[name], rows.truth) for name in found]
        p_value = paired_p_value(int((is_right[0] & ~is_right[1]).sum()), int((is_right[1] & ~is_right[0]).sum()))
    count = int(has_flipped.sum())
    unanswered = is_open.sum()
    return PromptDiff(
        rows=len(answers),
        unanswered=(int(unanswered["first"]), int(unanswered["second"])),
        flips=flips,
        flip_rate=count / len(answers),
        flip_rate_interval=share_interval(count, len(answers)),
        usd_per_1000_rows=(found["first"].usd_per_1000_rows, found["second"].usd_per_1000_rows),
        evaluations=evaluations,
        p_value=p_value,
    )


def _checked_way(name: str, options: Any, labels: Any) -> Options:
    """Return the options of one way, with its labels; InvalidOption where they are none."""
    if not isinstance(options, Mapping):
        raise InvalidOption(
            f"{name} is {options!r}, and a way of asking is a dict of options of classify.",
            f'Give e.g. {name}={{"model": "small"}}, or {name}={{}} for none.',
        )
    return settled({"labels": labels, **options})
