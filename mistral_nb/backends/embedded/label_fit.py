"""Whether a label fits a text at all, and which parts of a text may have labels of their own.

Keeps to itself: how close a text must be to a label, which was chosen by measurement (`tests/bench/quality.py` measures it).
Promises: pure functions.
"""

import math
import re
from collections.abc import Sequence

# Cosines, chosen on 142 sets of 3 to 30 labels: intents of bank customers, topics of tickets, plain and with descriptions or
# examples; half of the texts had none of the labels. Texts are closer to names of several words than to single words, closer still
# to descriptions and examples, and of many labels one is near by chance. Over the kinds of sets 0.73 of the answers were right on
# average, with a bound chosen for each kind 0.74, and without regard to how many labels there are 0.67 (2026-11).
CLOSENESS_PER_WORD = 0.14
MOST_WORDS = 3
CLOSENESS_PER_LOG_LABELS = 0.06
MOST_LABELS = 30
MORE_WITH_HINTS = 0.08
LOGITS_PER_COSINE = 12.0

# Of a text with several labels each part is read with half of what the whole says, and need not be so close. On 25 other sets, of
# texts with no label to three, 0.55 had exactly their labels, and 0.51 with the same bound; without the whole 0.54, but of the
# tickets, which have one label, 0.42 instead of 0.54 exactly that one.
WEIGHT_OF_WHOLE_TEXT = 0.5
LESS_FOR_PARTS = 0.1
MOST_PARTS = 24
_PART_ENDS = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])\s*|\s*[\n;]\s*")
_FEWEST_WORDS = 2


def least_closeness(names: Sequence[str], *, hinted: Sequence[bool]) -> float:
    """Return the cosine that a text has with the nearest of these labels, if any fits.

    Parameters
    ----------
    hinted
        For each label, whether descriptions or examples say more of it.
    """
    words = sum(min(MOST_WORDS, len(name.split())) for name in names) / len(names)
    more = MORE_WITH_HINTS * sum(hinted) / len(names)
    return CLOSENESS_PER_WORD * words + CLOSENESS_PER_LOG_LABELS * math.log(min(MOST_LABELS, len(names))) + more


def fit(closeness: float, least: float) -> float:
    """Return the probability that a label fits: one half at the least closeness."""
    return 1.0 / (1.0 + math.exp(-LOGITS_PER_COSINE * (closeness - least)))


def parts(text: str) -> list[str]:
    """Return the sentences and lines of a text, at most 24: of a longer one several neighbours are one part."""
    found = [part for part in _PART_ENDS.split(text) if part.strip()]
    joined: list[str] = []
    for part in found:
        if joined and len(joined[-1].split()) < _FEWEST_WORDS:
            joined[-1] = f"{joined[-1]} {part}"
        else:
            joined.append(part)
    size = -(-len(joined) // MOST_PARTS) or 1
    return [" ".join(joined[start : start + size]) for start in range(0, len(joined), size)] or [text]


def with_whole(part: Sequence[float], whole: Sequence[float]) -> list[float]:
    """Return the vector of a part, of length 1, moved towards that of the whole text."""
    moved = [value + WEIGHT_OF_WHOLE_TEXT * more for value, more in zip(part, whole, strict=True)]
    length = math.sqrt(math.fsum(value * value for value in moved)) or 1.0
    return [value / length for value in moved]
