"""Whether a label fits a text at all, and which parts of a text may have labels of their own.

Keeps to itself: how close a text must be to a label, which was chosen by measurement (`tests/bench/quality.py` measures it).
Promises: pure functions.
"""

import math
import re
from collections.abc import Sequence

# Cosines, chosen on 45 sets of 3 to 15 labels (intents of bank customers, topics of tickets; half of the texts had none of the
# labels). Texts are closer to names of several words than to single words, and closer still to descriptions and examples: the
# best bound was 0.17 for single words, 0.32 for two, 0.46 for more, and 0.04 to 0.12 higher with examples (2026-11).
LEAST_CLOSENESS = 0.03
MORE_PER_WORD = 0.144
MOST_WORDS = 3
MORE_WITH_HINTS = 0.08
LOGITS_PER_COSINE = 12.0

# Of a text with several labels, each part is read with half of what the whole says: of tickets, which have one label, 0.54 had
# exactly that one instead of 0.47; of questions that were joined, 0.55 had exactly their labels instead of 0.57.
WEIGHT_OF_WHOLE_TEXT = 0.5
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
    return LEAST_CLOSENESS + MORE_PER_WORD * words + MORE_WITH_HINTS * sum(hinted) / len(names)


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
