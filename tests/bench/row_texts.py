"""Texts whose right label is known beforehand, because the fake API answers with the label that a text contains.

Promises: the same texts every time; texts of different numbers are different; each has 12 words, one of
which is a label.
"""

import random

LABELS = ("billing", "delivery", "bug", "praise")

_OPENINGS = ("My last order", "Your newest app", "The blue jacket", "Our family account", "This small parcel")
_MIDDLES = ("came back yesterday with", "left me sure of", "is quite plainly about", "made us write about")
_ENDINGS = ("please answer soon", "and nobody helped", "as said before", "thanks for looking")


def texts(count: int, *, first: int = 0) -> list[str]:
    """Return the texts numbered from `first`."""
    return [_text(number) for number in range(first, first + count)]


def truths(count: int, *, first: int = 0) -> list[str]:
    """Return the label of each of these texts."""
    return [LABELS[number % len(LABELS)] for number in range(first, first + count)]


def _text(number: int) -> str:
    chance = random.Random(number)
    opening, middle, ending = chance.choice(_OPENINGS), chance.choice(_MIDDLES), chance.choice(_ENDINGS)
    return f"{opening} {number} {middle} {LABELS[number % len(LABELS)]}, {ending}."
