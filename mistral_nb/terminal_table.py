"""A table for a terminal: columns aligned, long cells wrapped or cut, nothing that a terminal would obey.

Keeps to itself: how many cells of the terminal a character takes.
Promises: no line is wider than asked for; a text is wrapped between words and cut with "…"; control characters, of which a model's
answer can hold any, are shown as spaces.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

_GAP = "  "
_RULE = "─"
_CUT = "…"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    title
        Shown above it.
    cells
        Its texts, from top to bottom.
    is_wrapped
        True: shares what the other columns leave of the width, its texts wrapped into that. False: as wide as its widest text.
    most_lines
        A wrapped text is cut after so many lines; None: never.
    """

    title: str
    cells: Sequence[str]
    is_wrapped: bool = False
    most_lines: int | None = None


def terminal_table(columns: Sequence[Column], *, width: int) -> str:
    """Return the table, in lines of at most `width` cells of a terminal."""
    texts = [[plain_text(cell) for cell in column.cells] for column in columns]
    widths = _widths(columns, texts, width=width)
    lines = [_line([column.title for column in columns], widths), _GAP.join(_RULE * wide for wide in widths)]
    for row in zip(*texts, strict=True):
        cells = [
            wrapped(text, width=wide, most_lines=column.most_lines)
            for text, wide, column in zip(row, widths, columns, strict=True)
        ]
        lines += [_line(parts, widths) for parts in zip_longest(*cells, fillvalue="")]
    return "\n".join(lines)


def plain_text(text: str) -> str:
    """Return the text in one line, without characters that a terminal would obey instead of showing them."""
    visible = (character if character.isprintable() else _in_place_of(character) for character in text)
    return " ".join("".join(visible).split())


def wrapped(text: str, *, width: int, most_lines: int | None = None) -> list[str]:
    """Return the text in lines of at most `width` cells, broken between words where a word fits at all."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        extended = f"{line} {word}" if line else word
        if cells_of(extended) <= width:
            line = extended
            continue
        if line:
            lines.append(line)
        *full, line = _pieces(word, width)
        lines += full
    lines.append(line)
    if most_lines is None or len(lines) <= most_lines:
        return lines
    return [*lines[: most_lines - 1], _cut(f"{lines[most_lines - 1]} {lines[most_lines]}", width)]


def cells_of(text: str) -> int:
    """Return how many cells of a terminal the text takes: two for emoji and East Asian characters, none for combining ones."""
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _in_place_of(character: str) -> str:
    # Format characters (joiners, the marks that turn the direction of writing) take no cell.
    return "" if unicodedata.category(character) == "Cf" else " "


def _widths(columns: Sequence[Column], texts: Sequence[Sequence[str]], *, width: int) -> list[int]:
    """Return the width of each column; those that are wrapped share what is left, the first ones getting the remainder."""
    needed = [max(map(cells_of, [column.title, *cells])) for column, cells in zip(columns, texts, strict=True)]
    fixed = sum(need for need, column in zip(needed, columns, strict=True) if not column.is_wrapped)
    shares = sum(column.is_wrapped for column in columns)
    left = width - fixed - len(_GAP) * (len(columns) - 1)
    widths = []
    for need, column in zip(needed, columns, strict=True):
        if not column.is_wrapped:
            widths.append(need)
            continue
        share = max(min(need, -(-left // shares)), cells_of(column.title))
        widths.append(share)
        left -= share
        shares -= 1
    return widths


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (wide - cells_of(cell)) for cell, wide in zip(cells, widths, strict=True))
    return _GAP.join(padded).rstrip()


def _pieces(word: str, width: int) -> list[str]:
    """Return a word in pieces of at most `width` cells (a character that is wider gets a piece of its own)."""
    pieces = [""]
    for character in word:
        if pieces[-1] and cells_of(pieces[-1]) + _cells(character) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


def _cut(text: str, width: int) -> str:
    return _pieces(text, width - cells_of(_CUT))[0].rstrip() + _CUT
