"""A run of vectors, told as one of the rows whose two texts they compare.

Keeps to itself: which vectors make a row, and how their two bills become one.
Promises: what `mistral_nb.engine.rows_run.Run` promises; rows are counted once, and a text of several rows is on the bill of one. A
text whose row lacks the other is not asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mistral_nb.engine.bill import paid_by_both
from mistral_nb.engine.rows import DistinctTexts, PaidRow, RowsProgress, RowsResult
from mistral_nb.engine.rows_run import OnProgress, RowsRun, show_nothing
from mistral_nb.engine.vectors import similarities_of_pairs
from mistral_nb.errors import Refused

if TYPE_CHECKING:
    from mistral_nb.engine.vectors import Numbers


@dataclass(frozen=True, slots=True)
class TextPairs:
    """The two texts of each row, each pair of them once.

    Attributes
    ----------
    texts
        The texts of all pairs; a row has the number of its first one.
    of_rows
        For each row the number of its pair; -1 where it lacks one of the texts. int64, shape (rows,).
    firsts, seconds
        For each pair the numbers of its texts. int64, shape (pairs,).
    """

    texts: DistinctTexts
    of_rows: "Numbers"
    firsts: "Numbers"
    seconds: "Numbers"


def text_pairs(first: DistinctTexts, second: DistinctTexts) -> TextPairs:
    """Return the pairs that the rows of two columns make."""
    import numpy as np

    has_both = (first.numbers >= 0) & (second.numbers >= 0)
    sides = [(column.texts, column.numbers[has_both]) for column in (first, second)]
    texts = list(dict.fromkeys(texts[number] for texts, numbers in sides for number in np.unique(numbers).tolist()))
    place_of = {text: place for place, text in enumerate(texts)}
    places = [np.array([place_of.get(text, -1) for text in texts], dtype=np.int64)[numbers] for texts, numbers in sides]
    pairs, of_complete = np.unique(np.stack(places, axis=1), axis=0, return_inverse=True)
    of_rows, first_of_rows = (np.full(len(has_both), -1, dtype=np.int64) for _ in range(2))
    of_rows[has_both], first_of_rows[has_both] = of_complete.reshape(-1), places[0]
    return TextPairs(DistinctTexts(first_of_rows, texts), of_rows, pairs[:, 0], pairs[:, 1])


class ComparisonRun:
    """The run of one comparison.

    Parameters
    ----------
    verb
        What it is for.
    vectors
        The run that embeds the texts of the pairs.
    pairs
        What is compared.
    """

    def __init__(self, verb: str, vectors: RowsRun, pairs: TextPairs) -> None:
        self.verb = verb
        self.progress: RowsProgress = vectors.progress
        self._vectors = vectors
        self._pairs = pairs

    @property
    def keys(self) -> list[bytes]:
        """Under which the vector of each pair's first text is kept."""
        keys = self._vectors.keys
        return [keys[number] for number in self._pairs.firsts.tolist()] if keys else []

    def execute(self, on_progress: OnProgress = show_nothing) -> RowsResult:
        """Embed what has no vector, and compare; Ctrl-C keeps what came back.

        Raises
        ------
        MistralNotebookError
            Only what no row could escape (key, model, plan, engine); a row's own error is in the result.
        """
        try:
            self._vectors.execute(on_progress)
        finally:
            result = self.result()
            self._count(result)
            on_progress(self.progress)
        return result

    def cancel(self) -> None:
        """Stop a run that another thread executes, or is about to; returns when no request of it is left."""
        self._vectors.cancel()

    def result(self) -> RowsResult:
        """Return what the run gave so far, by pairs."""
        vectors, pairs = self._vectors.result(), self._pairs
        firsts, seconds = pairs.firsts.tolist(), pairs.seconds.tolist()
        found = similarities_of_pairs(vectors.values, pairs.firsts, pairs.seconds).tolist()
        failures = [
            vectors.errors.get(first, vectors.errors.get(second)) for first, second in zip(firsts, seconds, strict=True)
        ]
        return replace(
            vectors,
            verb=self.verb,
            texts=DistinctTexts(pairs.of_rows, [pairs.texts.texts[first] for first in firsts]),
            values=[None if value != value else value for value in found],  # NaN is missing
            errors={pair: error for pair, error in enumerate(failures) if error is not None},
            paid=_paid_by_pairs(vectors.paid, firsts, seconds),
        )

    def _count(self, result: RowsResult) -> None:
        """Count rows as they stand in the end."""
        import numpy as np

        progress, values = self.progress, result.values
        rows_of = np.bincount(self._pairs.of_rows[self._pairs.of_rows >= 0], minlength=len(values)).tolist()
        answered = [pair for pair, value in enumerate(values) if value is not None]
        progress.failed = sum(rows_of[pair] for pair in result.errors)
        progress.refused = sum(rows_of[pair] for pair, error in result.errors.items() if isinstance(error, Refused))
        progress.cached = sum(rows_of[pair] for pair in answered if pair not in result.paid)
        progress.done = progress.missing + progress.failed + sum(rows_of[pair] for pair in answered)


def _paid_by_pairs(paid: Mapping[int, PaidRow], firsts: list[int], seconds: list[int]) -> dict[int, PaidRow]:
    """Return what was paid for each pair: each text by the first pair that has it."""
    left, by_pairs = dict(paid), dict[int, PaidRow]()
    for pair, numbers in enumerate(zip(firsts, seconds, strict=True)):
        for number in numbers:
            row = left.pop(number, None)
            if row is not None:
                by_pairs[pair] = paid_by_both(by_pairs.get(pair), row)
    return by_pairs
