"""Where in a text something to mask stands, and of which kind it is.

Promises: `found_by` gives spans that do not overlap; where several detectors see something, the first of them wins.
"""

import re
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

# What regular expressions may take for an upper-case letter: Latin, Greek and Cyrillic.
UPPER = "".join(letter for letter in map(chr, range(0x530)) if letter.isupper())


# Stands in the place of what was found: no letter, no digit, no space and no punctuation.
_SEEN = "\0"


class Span(NamedTuple):
    """Characters `start` to `end` of a text, and what they are, e.g. "EMAIL"."""

    start: int
    end: int
    kind: str


Detector = Callable[[str], Iterable[Span]]


def found_by(detectors: Iterable[Detector], text: str) -> list[Span]:
    """Return what the detectors find, from the beginning of the text to its end."""
    found: list[Span] = []
    unseen = text
    for detector in detectors:
        for span in detector(unseen):
            at = bisect(found, span)
            is_free_before = at == 0 or found[at - 1].end <= span.start
            is_free_after = at == len(found) or span.end <= found[at].start
            if is_free_before and is_free_after and span.start < span.end:
                found.insert(at, span)
                unseen = f"{unseen[: span.start]}{_SEEN * (span.end - span.start)}{unseen[span.end :]}"
    return found


def matches(pattern: re.Pattern[str], kind: str, text: str, *, group: int | str = 0) -> Iterator[Span]:
    """Yield a span for each match of the pattern, or of a group of it."""
    for match in pattern.finditer(text):
        yield Span(match.start(group), match.end(group), kind)
