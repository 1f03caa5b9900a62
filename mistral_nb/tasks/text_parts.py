"""Texts cut into parts, and rows gathered into chunks, of at most so many tokens.

Keeps to itself: where a text may be cut, and where a chunk ends.
Promises: the parts of a text, put together, are the text: nothing is lost, nothing doubled; the items of all chunks are the items,
in their order. Bounds depend on what stands around them, not on how much stands before, so that a row that is changed or inserted
changes the chunk that holds it, and rarely the next one or two, not all that follow.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

from mistral_nb.engine.tokens import estimated_tokens

T = TypeVar("T")

# Paragraphs, lines, sentences (also of scripts without spaces), clauses, words; a cut comes after each match.
_BOUNDS = tuple(
    map(
        re.compile,
        (
            r"\n[ \t\r]*\n\s*",
            r"\n",
            r"[.!?…]+[\"'”’)\]]*\s+|[。！？]+[」』”’）]*",  # full-width marks are meant
            r"[,;:]\s+|[，；：、]",
            r"\s+",
        ),
    )
)
# A chunk is at least so full before it may end: smaller chunks are more requests, a narrower choice shifts more bounds.
_LEAST_FULL = 0.5


def split_text(text: str, *, most_tokens: int, tokens: Callable[[str], int] = estimated_tokens) -> list[str]:
    """Return the text in parts of at most `most_tokens`, cut between paragraphs; else lines, sentences, words, and last characters.

    Parameters
    ----------
    text
        Of any length; one that fits is a single part.
    most_tokens
        At least 1. A single character of more tokens is a part of its own.
    tokens
        What counts the tokens of a text.
    """
    if tokens(text) <= most_tokens:
        return [text]
    pieces = list(_pieces(text, most_tokens, tokens, _BOUNDS))
    return ["".join(chunk) for chunk in chunked(pieces, text_of=str, tokens=tokens, most_tokens=most_tokens)]


def chunked(
    items: Sequence[T],
    *,
    text_of: Callable[[T], str],
    tokens: Callable[[str], int] = estimated_tokens,
    most_tokens: int,
    fewest_items: int = 1,
) -> list[list[T]]:
    """Return the items in chunks of at most `most_tokens`; all that fit together are one chunk.

    Of the places that fill a chunk to between a half and the whole of `most_tokens`, it ends after the item whose text has the
    smallest hash. Chunks of the same rows therefore end at the same places, whatever stands before them.

    Parameters
    ----------
    text_of
        What an item says: it is counted, and hashed.
    fewest_items
        Items in a chunk (but the last), even if they are more than `most_tokens`.
    """
    texts = [text_of(item) for item in items]
    sizes = [tokens(text) for text in texts]
    if sum(sizes) <= most_tokens:
        return [list(items)] if items else []
    ends = [0]
    while ends[-1] < len(items):
        ends.append(_chunk_end(texts, sizes, ends[-1], most_tokens, fewest_items))
    return [list(items[start:end]) for start, end in pairwise(ends)]


def _chunk_end(texts: Sequence[str], sizes: Sequence[int], start: int, most_tokens: int, fewest_items: int) -> int:
    filled, candidates = 0, []
    for place in range(start, len(texts)):
        filled += sizes[place]
        count = place + 1 - start
        if filled > most_tokens and count > fewest_items and place > start:
            break
        if count >= fewest_items and filled >= _LEAST_FULL * most_tokens:
            candidates.append(place)
    else:
        return len(texts)
    # Without one, the item that did not fit is larger than half a chunk.
    return (min(candidates, key=lambda at: _hash(texts[at])) if candidates else place - 1) + 1


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _pieces(
    text: str, most_tokens: int, tokens: Callable[[str], int], bounds: Sequence[re.Pattern[str]]
) -> Iterator[str]:
    """Yield the text in the largest pieces that fit, cut at the first kind of bounds that makes them fit."""
    if len(text) <= 1 or tokens(text) <= most_tokens:
        yield text
        return
    if not bounds:
        middle = len(text) // 2
        pieces = [text[:middle], text[middle:]]
    else:
        ends = [match.end() for match in bounds[0].finditer(text)]
        pieces = [text[start:end] for start, end in pairwise([0, *ends, len(text)]) if start < end]
    for piece in pieces:
        yield from _pieces(piece, most_tokens, tokens, bounds[1:])
