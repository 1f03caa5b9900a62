"""How a number of things is written: "1 row", "1,200 rows".

Promises: pure; English.
"""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return the number with its noun; `plural` is for nouns that do not just take an s.

    Examples
    --------
    >>> counted(1, "row"), counted(1200, "row"), counted(0, "summary", "summaries")
    ('1 row', '1,200 rows', '0 summaries')
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
