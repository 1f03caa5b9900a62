"""Models beside each other on rows whose answer is known: how good, how dear, how fast.

Keeps to itself: which differences are more than chance. Every model sees the same rows, so they are compared row by row; with
several pairs the p-values are raised (Holm 1979), since one of many pairs looks different sooner or later.
Promises: what is asked is kept and paid for once, also by a later `classify` of the same rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import combinations
from typing import TYPE_CHECKING, Any

from mistral_nb.errors import InvalidOption
from mistral_nb.evaluation.agreement import Evaluation, evaluate
from mistral_nb.evaluation.intervals import paired_p_value
from mistral_nb.evaluation.variants import Answers, Sample, classified, drawn_sample, receipts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from mistral_nb.engine.receipt import Receipt

DEFAULT_SAMPLE = 200


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """Models beside each other; what `compare` returns.

    Attributes
    ----------
    table
        Frame indexed by model: accuracy, accuracy_low, accuracy_high (95 % interval), macro_f1, kappa (float64), rows, unanswered
        (int64), usd_per_1000_rows (Float64; missing where the price is unknown), latency_p95_seconds (float64).
    differences
        Frame with a line per pair: first, second (models), only_first_right, only_second_right (rows), p_value (how often chance
        alone would differ as much; exact McNemar, raised for several pairs after Holm).
    answers
        Frame of the sampled rows: text, truth, and a column per model.
    evaluations
        The `Evaluation` of each model, by its name.
    """

    table: "pd.DataFrame"
    differences: "pd.DataFrame"
    answers: "pd.DataFrame"
    evaluations: dict[str, Evaluation]

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Return a picture: accuracy with its interval over the price of 1,000 rows, or over time where nothing costs anything."""
        from mistral_nb.evaluation.pictures import draw_comparison

        return draw_comparison(self, ax)

    def __str__(self) -> str:
        return (
            f"{self.table.round(4).to_string()}\n\n{self.differences.round(4).to_string(index=False)}\n\n{self._note}"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        tables = f"{self.table.round(4).to_html()}{self.differences.round(4).to_html(index=False)}"
        return f'<div class="mistral-nb mathjax_ignore">{tables}<p>{escape(self._note)}</p></div>'

    @property
    def _note(self) -> str:
        return (
            f"{len(self.answers):,} rows, each asked of every model. A p_value below 0.05 is hardly chance; above it, the models "
            "may be equally good, or the sample too small to tell."
        )


def compare(
    frame: "pd.DataFrame",
    column: str,
    labels: Any,
    *,
    truth: "str | pd.Series[Any]",
    models: Sequence[str],
    sample: int | None = DEFAULT_SAMPLE,
    random_state: int = 0,
    budget_usd: float | None = None,
    dry_run: bool = False,
    **options: Any,
) -> "Comparison | dict[str, Receipt]":
    """Return how good, how dear and how fast models are on rows whose answer is known.

    Parameters
    ----------
    frame, column, labels
        As in `df.mistral.classify`.
    truth
        Column of the true labels, or a Series with the frame's index; rows without one are left out.
    models
        At least two names, aliases or short names.
    sample
        How many rows to draw; None takes all.
    random_state
        Another number draws other rows.
    budget_usd
        Most that all models together may cost.
    dry_run
        Return a `Receipt` per model, and send nothing.
    **options
        Further options of `classify`, the same for every model.

    Returns
    -------
    Comparison
        `.table`, `.differences`, `.answers`, `.plot()`.

    Raises
    ------
    InvalidOption
        Fewer than two models, one twice, no usable row, or an option `classify` does not have.
    BudgetReached
        The budget does not suffice; what is answered is kept.

    Examples
    --------
    >>> import mistral_nb
    >>> tickets = mistral_nb.load_sample("tickets")
    >>> topics, models = ["billing", "delivery", "bug", "praise"], ["ministral", "small"]
    >>> receipts = mistral_nb.compare(tickets, "text", topics, truth="topic", models=models, sample=50, dry_run=True)
    >>> receipts["ministral"].rows
    50
    """
    names = list(models) if not isinstance(models, str) else [models]
    if len(names) < 2 or len(set(names)) < len(names):
        raise InvalidOption(
            f"models is {models!r}.", 'Give at least two, each once, e.g. models=["ministral", "small"].'
        )
    rows = drawn_sample(frame, column, truth=truth, sample=sample, random_state=random_state)
    ways = {name: {**options, "model": name} for name in names}
    if dry_run:
        return receipts(rows, ways, labels=labels)
    return _compared(rows, classified(rows, ways, labels=labels, budget_usd=budget_usd))


def _compared(rows: Sample, found: dict[str, Answers]) -> Comparison:
    import pandas as pd

    assert rows.truth is not None, "compare takes a truth"
    evaluations = {name: evaluate(answers.predicted, rows.truth) for name, answers in found.items()}
    columns = {name: answers.predicted.astype("str") for name, answers in found.items()}
    return Comparison(
        table=pd.DataFrame(
            [_line(evaluations[name], answers) for name, answers in found.items()], index=pd.Index(found, name="model")
        ).astype({"usd_per_1000_rows": "Float64"}),
        differences=_differences(rows, found),
        answers=pd.DataFrame({"text": rows.texts, "truth": rows.truth, **columns}),
        evaluations=evaluations,
    )


def _line(evaluation: Evaluation, answers: Answers) -> dict[str, Any]:
    price = answers.usd_per_1000_rows
    return {
        "accuracy": evaluation.accuracy,
        "accuracy_low": evaluation.accuracy_interval[0],
        "accuracy_high": evaluation.accuracy_interval[1],
        "macro_f1": evaluation.macro_f1,
        "kappa": evaluation.kappa,
        "rows": evaluation.rows,
        "unanswered": evaluation.unanswered,
        "usd_per_1000_rows": None if price is None else float(price),
        "latency_p95_seconds": answers.latency_p95_seconds,
    }


def _differences(rows: Sample, found: dict[str, Answers]) -> "pd.DataFrame":
    import pandas as pd

    truth = rows.truth
    is_right = {name: (answers.predicted.astype(object) == truth).to_numpy() for name, answers in found.items()}
    lines = []
    for first, second in combinations(found, 2):
        only_first = int((is_right[first] & ~is_right[second]).sum())
        only_second = int((is_right[second] & ~is_right[first]).sum())
        lines.append((first, second, only_first, only_second, paired_p_value(only_first, only_second)))
    names = ["first", "second", "only_first_right", "only_second_right", "p_value"]
    frame = pd.DataFrame(lines, columns=names)
    frame["p_value"] = raised_for_several(frame["p_value"].tolist())
    return frame


def raised_for_several(p_values: Sequence[float]) -> list[float]:
    """Return the p-values as they are when so many pairs are looked at (Holm 1979), in the same order."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    raised = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, p_values[place] * (len(p_values) - rank)))
        raised[place] = highest
    return raised
