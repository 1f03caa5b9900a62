"""Predictions beside the truth: how many are right, which are taken for which.

Keeps to itself: how rows without a prediction count (as wrong: an analyst who hands the column on has to fill them in), and rows
without a truth (not at all).
Promises: pure; the definitions are scikit-learn's, with which they are compared in the tests.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from mistral_nb.errors import InvalidOption
from mistral_nb.evaluation.intervals import Interval, share_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

NO_ANSWER = "(no answer)"


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """How predictions agree with the truth; what `evaluate` returns.

    Attributes
    ----------
    rows
        Rows with a truth: all figures are about these.
    unanswered
        Of them, rows without a prediction; they count as wrong.
    without_truth
        Rows that were left out because their truth is missing.
    accuracy, accuracy_interval
        Share of `rows` that are right, and its 95 % interval (Wilson). NaN where there are no rows.
    most_frequent_share
        The accuracy of always saying the most frequent label: what a model has to beat.
    kappa
        Agreement beyond what the two columns' frequencies give by chance (Cohen 1960): 0 is chance, 1 is perfect. NaN where chance
        alone agrees everywhere.
    macro_f1
        Mean of the labels' F1, over the labels that occur in either column: each label counts the same, however rare.
    labels
        Frame indexed by label: precision, recall, f1 (float64), rows (in the truth), predicted (int64), recall_low and recall_high
        (95 % interval). Precision is NaN where a label is never predicted, recall where it is never true.
    confusion
        Frame of counts (int64): index the true label, columns the predicted one; "(no answer)" where there was none.
    """

    rows: int
    unanswered: int
    without_truth: int
    accuracy: float
    accuracy_interval: Interval
    most_frequent_share: float
    kappa: float
    macro_f1: float
    labels: "pd.DataFrame"
    confusion: "pd.DataFrame"

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Return the confusion as a picture: true labels down, predicted ones across, counts in the squares."""
        from mistral_nb.evaluation.pictures import draw_confusion

        return draw_confusion(self, ax)

    def __str__(self) -> str:
        return f"{self._summary}\n\n{self.labels.round(3).to_string()}\n\n{self.confusion.to_string()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        tables = f"{self.labels.round(3).to_html()}{self.confusion.to_html()}"  # pandas escapes labels
        return f'<div class="mistral-nb mathjax_ignore"><p>{escape(self._summary)}</p>{tables}</div>'

    @property
    def _summary(self) -> str:
        if not self.rows:
            return f"No row has a truth to compare with ({self.without_truth:,} were left out)."
        low, high = self.accuracy_interval
        parts = [
            f"{self.accuracy:.1%} of {self.rows:,} rows are right (95 % interval {low:.1%} to {high:.1%})",
            f"the most frequent label alone would give {self.most_frequent_share:.1%}",
            f"kappa {self.kappa:.2f}, macro F1 {self.macro_f1:.2f}",
        ]
        if self.unanswered:
            parts.append(f"{self.unanswered:,} without an answer count as wrong")
        if self.without_truth:
            parts.append(f"{self.without_truth:,} without a truth are left out")
        return "; ".join(parts) + "."


def evaluate(predicted: Iterable[Any], truth: Iterable[Any]) -> Evaluation:
    """Return how predicted labels agree with the true ones.

    Parameters
    ----------
    predicted
        Labels, e.g. what `df.mistral.classify` gave; missing ones count as wrong.
    truth
        The true labels, as many as predicted; rows whose truth is missing are left out. Two Series are compared row by row and
        must have the same index.

    Returns
    -------
    Evaluation
        `.accuracy`, `.accuracy_interval`, `.kappa`, `.labels` (precision, recall, F1), `.confusion`, `.plot()`.

    Raises
    ------
    InvalidOption
        The two have different lengths, or two Series different indexes.

    Examples
    --------
    >>> import mistral_nb
    >>> found = mistral_nb.evaluate(["bug", "bug", "praise", None], ["bug", "praise", "praise", "bug"])
    >>> found.accuracy, found.unanswered
    (0.5, 1)
    """
    import numpy as np

    predictions, truths = _paired(predicted, truth)
    has_truth = truths.notna().to_numpy()
    without_truth = int((~has_truth).sum())
    predictions, truths = predictions[has_truth], truths[has_truth]
    names = _label_order(truths, predictions)
    confusion = _confusion(truths, predictions, names)
    counts = confusion.to_numpy()
    rows = len(truths)
    right = np.diag(counts[:, : len(names)])
    true_rows, predicted_rows = counts.sum(axis=1), counts[:, : len(names)].sum(axis=0)
    labels = _label_figures(names, right, true_rows, predicted_rows)
    accuracy = right.sum() / rows if rows else float("nan")
    return Evaluation(
        rows=rows,
        unanswered=int(predictions.isna().sum()),
        without_truth=without_truth,
        accuracy=float(accuracy),
        accuracy_interval=share_interval(int(right.sum()), rows),
        most_frequent_share=float(true_rows.max() / rows) if rows else float("nan"),
        kappa=_kappa(float(accuracy), true_rows, predicted_rows, rows),
        macro_f1=float(labels["f1"].mean()) if names else float("nan"),
        labels=labels,
        confusion=confusion,
    )


def _paired(predicted: Iterable[Any], truth: Iterable[Any]) -> "tuple[pd.Series[Any], pd.Series[Any]]":
    import pandas as pd

    both = [
        column if isinstance(column, pd.Series) else pd.Series(list(column), dtype=object)
        for column in (predicted, truth)
    ]
    if len(both[0]) != len(both[1]):
        raise InvalidOption(
            f"There are {len(both[0]):,} predictions and {len(both[1]):,} truths.",
            "Give one truth for each prediction.",
        )
    if isinstance(predicted, pd.Series) and isinstance(truth, pd.Series) and not predicted.index.equals(truth.index):
        raise InvalidOption(
            "The two Series have different indexes, so it is not clear which rows belong together.",
            "Take both from one frame, or compare by position: evaluate(predicted.to_list(), truth.to_list()).",
        )
    first, second = (column.astype(object).reset_index(drop=True) for column in both)
    return first, second


def _label_order(truths: "pd.Series[Any]", predictions: "pd.Series[Any]") -> list[Any]:
    """Return every label that occurs, the most frequent true one first; equally frequent ones by their text."""
    frequency = truths.value_counts().to_dict()
    found = {*truths, *predictions.dropna()}
    return sorted(found, key=lambda label: (-frequency.get(label, 0), str(label)))


def _confusion(truths: "pd.Series[Any]", predictions: "pd.Series[Any]", names: list[Any]) -> "pd.DataFrame":
    import numpy as np
    import pandas as pd

    place = {label: number for number, label in enumerate(names)}
    counts = np.zeros((len(names), len(names) + 1), dtype=np.int64)
    columns = [len(names) if pd.isna(label) else place[label] for label in predictions]
    np.add.at(counts, ([place[label] for label in truths], columns), 1)
    frame = pd.DataFrame(counts, index=pd.Index(names, name="truth"), columns=pd.Index([*names, NO_ANSWER]))
    frame.columns.name = "predicted"
    return frame


def _label_figures(names: list[Any], right: Any, true_rows: Any, predicted_rows: Any) -> "pd.DataFrame":
    import numpy as np
    import pandas as pd

    with np.errstate(invalid="ignore"):  # a label that is never predicted, or never true
        precision, recall = right / predicted_rows, right / true_rows
    intervals = [share_interval(int(hits), int(rows)) for hits, rows in zip(right, true_rows, strict=True)]
    return pd.DataFrame(
        {
            "precision": precision,
            "recall": recall,
            "f1": 2 * right / (true_rows + predicted_rows),
            "rows": true_rows,
            "predicted": predicted_rows,
            "recall_low": [low for low, _ in intervals],
            "recall_high": [high for _, high in intervals],
        },
        index=pd.Index(names, name="label"),
    )


def _kappa(accuracy: float, true_rows: Any, predicted_rows: Any, rows: int) -> float:
    if not rows:
        return float("nan")
    # Rows without a prediction agree with nothing, by chance or otherwise.
    by_chance = float((true_rows * predicted_rows).sum()) / rows**2
    return (accuracy - by_chance) / (1 - by_chance) if by_chance < 1 else float("nan")
