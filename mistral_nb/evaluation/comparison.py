"""Models beside each other on rows whose answer is known: how good, how dear, how fast.

Keeps to itself: which differences are more than chance. Every model sees the same rows, so they are compared row by row; with
several pairs the p-values are raised (Holm 1979), since one of many pairs looks different sooner or later.
Promises: what is asked is kept and paid for once, also by a later `classify` of the same rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import combinations
from typing import TYPE_CHECKING, Any

from mistral_nb.counted import counted
from mistral_nb.engine.current import current_session
from mistral_nb.errors import InvalidOption
from mistral_nb.evaluation.agreement import Evaluation, evaluate, right_rows
from mistral_nb.evaluation.intervals import paired_p_value
from mistral_nb.evaluation.variants import Answers, Sample, check_ways, classified, drawn_sample, receipts, settled

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

    Examples
    --------
    >>> import mistral_nb
    >>> tickets = mistral_nb.load_sample("tickets").head(20)
    >>> topics = ["billing", "delivery", "bug", "praise"]
    >>> found = mistral_nb.compare(tickets, "text", topics, truth="topic", models=["ministral", "small"])
    >>> found.table.index.tolist(), len(found.differences)
    (['ministral', 'small'], 1)
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
            f"{counted(len(self.answers), 'row')}, each asked of every model. A p_value below 0.05 is hardly chance; above it, the "
            "models may be equally good, or the sample too small to tell."
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
        As in `df.mistral.classify`. Of a Polars frame the rows have their numbers as index in what is returned, which is pandas.
    truth
        Column of the true labels, which are text, or a Series with the frame's index; rows without one are left out.
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
        Further options of `classify`, the same for every model; not those that give no label to compare now: `multi_label`,
        `background`, and `mode`.

    Returns
    -------
    Comparison
        `.table`, `.differences`, `.answers`, `.plot()`.

    Raises
    ------
    InvalidOption
        Fewer than two models, one twice, no usable row, a truth that is never one of the labels, or an option that `classify` does
        not have or that does not go with a comparison. Nothing was sent.
    UnknownColumn, NotCollected
        The frame has no such column, or is a lazy one.
    BudgetReached
        The budget does not suffice; what is answered is kept.
    ModelProblem
        A model can't be asked; what the ones before it have answered is kept.

    Examples
    --------
    >>> import mistral_nb
    >>> tickets = mistral_nb.load_sample("tickets")
    >>> topics, models = ["billing", "delivery", "bug", "praise"], ["ministral", "small"]
    >>> receipts = mistral_nb.compare(tickets, "text", topics, truth="topic", models=models, sample=50, dry_run=True)
    >>> receipts["ministral"].rows
    50
    """
    names = _checked_models(models)
    if not isinstance(dry_run, bool):
        raise InvalidOption(f"dry_run is {dry_run!r}.", "Give dry_run=True or dry_run=False.")
    if "model" in options:
        raise InvalidOption(f"model is {options['model']!r}, and models says which are asked.", "Leave model out.")
    if truth is None:
        raise InvalidOption(
            "truth is None, and without it no model is right or wrong.",
            'Give the column of the true labels, e.g. truth="topic"; prompt_diff does without.',
        )
    rows = drawn_sample(frame, column, truth=truth, sample=sample, random_state=random_state)
    same = settled({"labels": labels, **options})
    ways = {name: {**same, "model": name} for name in names}
    check_ways(ways, rows, budget_usd=budget_usd)
    return receipts(rows, ways) if dry_run else _compared(rows, classified(rows, ways, budget_usd=budget_usd))


def _checked_models(models: Any) -> list[str]:
    """Return the models' names; InvalidOption unless there are two, each once, whatever it is called."""
    names = list(models) if isinstance(models, Iterable) and not isinstance(models, str) else [models]
    remedy = 'Give at least two, each once, e.g. models=["ministral", "small"].'
    if len(names) < 2 or not all(isinstance(name, str) for name in names):
        raise InvalidOption(f"models is {models!r}.", remedy)
    given_as: dict[str, str] = {}
    for name in names:
        model = current_session().model_name(name)
        if model in given_as:
            raise InvalidOption(
                f"models has {given_as[model]!r} and {name!r}, which is the same model, {model}.",
                f"{remedy} Two ways of asking one model are compared by prompt_diff.",
            )
        given_as[model] = name
    return names


def _compared(rows: Sample, found: dict[str, Answers]) -> Comparison:
    import pandas as pd

    assert rows.truth is not None, "compare takes a truth"
    evaluations = {name: evaluate(answers.predicted, rows.truth) for name, answers in found.items()}
    columns = {name: answers.predicted.astype("str") for name, answers in found.items()}
    return Comparison(
        table=pd.DataFrame(
            [_line(evaluations[name], answers) for name, answers in found.items()], index=pd.Index(found, name="model")
        ).astype({"usd_per_1000_rows": "Float64"}),
        differences=_differences(rows.truth, found),
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


def _differences(truth: "pd.Series[Any]", found: dict[str, Answers]) -> "pd.DataFrame":
    import pandas as pd

    is_right = {name: right_rows(answers.predicted, truth) for name, answers in found.items()}
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
