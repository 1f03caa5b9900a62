"""Pictures of an evaluation, readable on a light and on a dark page.

Keeps to itself: colours and sizes. Text keeps the colour of the reader's matplotlib style; the squares bring their own ground.
Promises: matplotlib is imported when the first picture is drawn; nothing global is changed.
"""

from typing import TYPE_CHECKING

from mistral_nb.counted import counted
from mistral_nb.evaluation.agreement import NOTHING_TO_COMPARE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mistral_nb.evaluation.agreement import Evaluation
    from mistral_nb.evaluation.comparison import Comparison

_LONGEST_NAME = 24


def draw_confusion(found: "Evaluation", ax: "Axes | None" = None) -> "Axes":
    """Return the axes with the confusion drawn: shade by share of the true label, counts as numbers."""
    import matplotlib.pyplot as plt
    import numpy as np

    if not found.rows:
        return _only_words(f"{NOTHING_TO_COMPARE}.", ax)
    counts = found.confusion.to_numpy()
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    if ax is None:
        side = 1.6 + 0.55 * counts.shape[1]
        _, ax = plt.subplots(figsize=(side + 1.2, side), layout="constrained")
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            ax.text(
                column,
                row,
                f"{count:,}",
                ha="center",
                va="center",
                color="white" if shares[row, column] > 0.5 else "black",
            )
    ax.set_xticks(range(counts.shape[1]), [_short(name) for name in found.confusion.columns], rotation=45, ha="right")
    ax.set_yticks(range(counts.shape[0]), [_short(name) for name in found.confusion.index])
    ax.set_xlabel("predicted label")
    ax.set_ylabel("true label")
    ax.set_title(f"{found.accuracy:.1%} of {counted(found.rows, 'row')} right")
    return ax


def draw_comparison(found: "Comparison", ax: "Axes | None" = None) -> "Axes":
    """Return the axes with a point per model: accuracy with its interval over the price, or over time where none is known."""
    import matplotlib.pyplot as plt

    table = found.table[found.table["unanswered"] < found.table["rows"]]
    if table.empty:
        return _only_words("No model has answered a row.", ax)
    prices = table["usd_per_1000_rows"]
    is_priced = bool(prices.notna().all() and (prices > 0).any())
    across = prices.astype("float64") if is_priced else table["latency_p95_seconds"]
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for name, at in zip(table.index, across.tolist(), strict=True):
        accuracy, (low, high) = found.evaluations[name].accuracy, found.evaluations[name].accuracy_interval
        ax.errorbar([at], [accuracy], yerr=[[accuracy - low], [high - accuracy]], fmt="o", capsize=4)
        ax.annotate(_short(name), (at, accuracy), xytext=(7, 5), textcoords="offset points")
    ax.margins(x=0.25)
    ax.set_xlabel("USD per 1,000 rows" if is_priced else "seconds within which 95 % of the rows are answered")
    ax.set_ylabel("accuracy (with 95 % interval)")
    silent = [_short(name) for name in found.table.index.difference(table.index, sort=False)]
    without = f"\nwithout an answer: {', '.join(silent)}" if silent else ""
    ax.set_title(f"{counted(len(found.answers), 'row')}, each asked of every model{without}")
    return ax


def _only_words(words: str, ax: "Axes | None") -> "Axes":
    """Return axes that say why there is nothing to draw."""
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 1.6), layout="constrained")
    ax.set_axis_off()
    ax.text(0.5, 0.5, words, ha="center", va="center", transform=ax.transAxes)
    return ax


def _short(label: object) -> str:
    # A dollar would begin a formula.
    name = str(label).replace("$", r"\$")
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
