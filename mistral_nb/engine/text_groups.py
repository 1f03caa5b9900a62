"""The rows of a column in groups, each of which is to have one answer.

Promises: rows without text count, but are not asked; equal texts of a group stand once, with their number of rows, in the order of
their first appearance.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mistral_nb.engine.rows import DistinctTexts

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class TextGroup:
    """The distinct texts of one group, and how many rows have each."""

    texts: list[str]
    rows: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextGroups:
    """Groups of a column's texts.

    Attributes
    ----------
    groups
        Those that have a text.
    numbers
        For each place of the result, the position of its group in `groups`; -1 where the group has no text. int64.
    total_rows, missing_rows
        Rows that are in a group, and those of them without text.
    are_texts
        Whether each group is a single text of the column, and its answer that text's.
    """

    groups: list[TextGroup]
    numbers: "np.ndarray[Any, np.dtype[np.int64]]"
    total_rows: int
    missing_rows: int
    are_texts: bool


def each_alone(texts: DistinctTexts) -> TextGroups:
    """Return each distinct text as a group of its own."""
    import numpy as np

    has_text = texts.numbers >= 0
    rows = np.bincount(texts.numbers[has_text], minlength=len(texts.texts)).tolist()
    return TextGroups(
        groups=[TextGroup([text], [count]) for text, count in zip(texts.texts, rows, strict=True)],
        numbers=texts.numbers,
        total_rows=len(texts.numbers),
        missing_rows=int((~has_text).sum()),
        are_texts=True,
    )


def by_group(texts: DistinctTexts, group_of_row: "np.ndarray[Any, Any]", *, count: int) -> TextGroups:
    """Return the texts of each group.

    Parameters
    ----------
    group_of_row
        For each row of the column the number of its group, -1 for none.
    count
        How many groups there are, with or without text.
    """
    import numpy as np

    has_group = group_of_row >= 0
    is_in = has_group & (texts.numbers >= 0)
    pairs = group_of_row[is_in].astype(np.int64) * len(texts.texts) + texts.numbers[is_in]
    distinct, firsts, rows = np.unique(pairs, return_index=True, return_counts=True)
    group_of_pair, text_of_pair = np.divmod(distinct, max(1, len(texts.texts)))
    order = np.lexsort((firsts, group_of_pair))
    found, starts = np.unique(group_of_pair[order], return_index=True)
    numbers = np.full(count, -1, dtype=np.int64)
    numbers[found] = np.arange(len(found))
    return TextGroups(
        groups=[
            TextGroup([texts.texts[text] for text in text_of_pair[part].tolist()], rows[part].tolist())
            for start, end in pairwise([*starts.tolist(), len(order)])
            for part in [order[start:end]]
        ],
        numbers=numbers,
        total_rows=int(has_group.sum()),
        missing_rows=int((has_group & ~is_in).sum()),
        are_texts=False,
    )
