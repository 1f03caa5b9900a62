"""Predictions beside the truth: how many are right, which are taken for which.

Keeps to itself: how rows without a prediction count (as wrong: an analyst who hands the column on has to fill them in), and rows
without a truth (not at all).
Promises: pure; the definitions are scikit-learn's, with which they are compared in the tests.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from math import isnan
from typing import TYPE_CHECKING, Any

from mistral_nb.counted import counted
from mistral_nb.errors import InvalidOption
from mistral_nb.evaluation.intervals import Interval, share_interval
from mistral_nb.evaluation.label_columns import label_column, refuse_other_kinds

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

NO_ANSWER = "(no answer)"
NOTHING_TO_COMPARE = "No row has a truth to compare with"


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

    Examples
    --------
    >>> import mistral_nb
    >>> found = mistral_nb.evaluate(["bug", "bug", "praise", None], ["bug", "praise", "praise", "bug"])
    >>> found.labels.loc["praise", ["precision", "recall"]].tolist()
    [1.0, 0.5]
    >>> int(found.confusion.loc["praise", "bug"])  # praise that was taken for a bug
    1
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
        """Return the confusion as a picture: true labels down, predicted ones across, counts in the squares.

        Where no row has a truth, it says so.
        """
        from mistral_nb.evaluation.pictures import draw_confusion

        return draw_confusion(self, ax)

    def __str__(self) -> str:
        tables = [self.labels.round(3).to_string(), self.confusion.to_string()] if self.rows else []
        return "\n\n".join([self._summary, *tables])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        tables = (
            f"{self.labels.round(3).to_html()}{self.confusion.to_html()}" if self.rows else ""
        )  # pandas escapes labels
        return f'<div class="mistral-nb mathjax_ignore"><p>{escape(self._summary)}</p>{tables}</div>'

    @property
    def _summary(self) -> str:
        if not self.rows:
            left_out = f"; {self.without_truth:,} left out" if self.without_truth else ""
            return f"{NOTHING_TO_COMPARE}{left_out}."
        low, high = self.accuracy_interval
        kappa = "kappa undefined" if isnan(self.kappa) else f"kappa {self.kappa:.2f}"
        right = f"{counted(self.rows, 'row')} {_verb(self.rows, 'is', 'are')} right"
        parts = [
            f"{self.accuracy:.1%} of {right} (95 % interval {low:.1%} to {high:.1%})",
            f"the most frequent label alone would give {self.most_frequent_share:.1%}",
            f"{kappa}, macro F1 {self.macro_f1:.2f}",
        ]
        if self.unanswered:
            parts.append(f"{self.unanswered:,} without an answer {_verb(self.unanswered, 'counts', 'count')} as wrong")
        if self.without_truth:
            parts.append(f"{self.without_truth:,} without a truth {_verb(self.without_truth, 'is', 'are')} left out")
        if self.unanswered < self.rows and not ((self.labels["rows"] > 0) & (self.labels["predicted"] > 0)).any():
            parts.append("no label is in both columns: are they written alike?")
        return "; ".join(parts) + ("" if parts[-1].endswith("?") else ".")


def evaluate(predicted: Iterable[Any], truth: Iterable[Any]) -> Evaluation:
    """Return how predicted labels agree with the true ones.

    Parameters
    ----------
    predicted
        Labels, e.g. what `df.mistral.classify` gave, as a list, an array or a column of pandas or Polars; missing ones count as
        wrong. Of a frame give one column, e.g. ``found["label"]``.
    truth
        The true labels, as many as predicted and of the same kind (text, or numbers or claims); rows whose truth is missing are
        left out. Two Series of pandas are compared row by row and must have the same index.

    Returns
    -------
    Evaluation
        `.accuracy`, `.accuracy_interval`, `.kappa`, `.labels` (precision, recall, F1), `.confusion`, `.plot()`.

    Raises
    ------
    InvalidOption
        The two have different lengths, or two Series different indexes; text stands beside numbers, which it never equals; a label
        is a list; or one of the two is no column.
    NotCollected
        A lazy frame has no rows yet.

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


def right_rows(predicted: "pd.Series[Any]", truth: "pd.Series[Any]") -> Any:
    """Return, as an array, which predictions are the truth beside them; a missing one is not."""
    import numpy as np

    is_answered = predicted.notna().to_numpy()
    both = zip(predicted.array, truth.array, is_answered, strict=True)
    return np.array([bool(answered and label == true) for label, true, answered in both], dtype=bool)


def _verb(count: int, one: str, several: str) -> str:
    return one if count == 1 else several


def _paired(predicted: Iterable[Any], truth: Iterable[Any]) -> "tuple[pd.Series[Any], pd.Series[Any]]":
    import pandas as pd

    first, second = label_column(predicted, name="predicted"), label_column(truth, name="truth")
    is_apart = (
        isinstance(predicted, pd.Series) and isinstance(truth, pd.Series) and not first.index.equals(second.index)
    )
    aligned = None
    if is_apart and can_be_aligned(first.index, second.index):
        aligned = "Take the truth of the same rows: evaluate(predicted, truth.loc[predicted.index])"
    if len(first) != len(second):
        raise InvalidOption(
            f"predicted has {counted(len(first), 'row')} and truth {len(second):,}.",
            aligned or "Give one truth for each prediction.",
        )
    if is_apart:
        raise InvalidOption(
            "The two Series have different indexes, so it is not clear which rows belong together.",
            aligned
            or "Take both from one frame, or compare by position: evaluate(predicted.to_list(), truth.to_list()).",
        )
    refuse_other_kinds(predicted, truth, columns=(first, second))
    if NO_ANSWER in {*first, *second}:
        raise InvalidOption(
            f"{NO_ANSWER!r} is among the labels, and stands for rows without one.",
            f"Let these rows be missing: pd.Series(predicted).replace({NO_ANSWER!r}, None)",
        )
    return first.reset_index(drop=True), second.reset_index(drop=True)


def can_be_aligned(predicted: "pd.Index[Any]", truth: "pd.Index[Any]") -> bool:
    """Whether there is one truth for each predicted row."""
    return bool(truth.is_unique and len(predicted) and predicted.isin(truth).all())


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
