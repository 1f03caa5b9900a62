"""``%%mistral_fim``: code with a gap.

Keeps to itself: how the gap is marked.
Promises: pure; the code around the gap stays as it is, to the character.
"""

import re

from mistral_nb.errors import InvalidOption

OPENING, CLOSING = "<FILL>", "</FILL>"
# The marker may stand in a comment, so that the cell is still Python.
_OPENING = re.compile(rf"(?:#[ \t]*)?{OPENING}")
_CLOSING = re.compile(rf"(?:[ \t]*#[ \t]*)?{CLOSING}")


def around_gap(cell: str) -> tuple[str, str]:
    """Return the code before and after the gap.

    The gap is ``<FILL>``; or all between ``<FILL>`` and ``</FILL>``, e.g. an earlier attempt that is to be replaced.

    Raises
    ------
    InvalidOption
        There is no marker, or more than one.
    """
    openings, closings = list(_OPENING.finditer(cell)), list(_CLOSING.finditer(cell))
    if len(openings) != 1 or len(closings) > 1 or (closings and closings[0].start() < openings[0].end()):
        raise InvalidOption(
            f"There are {len(openings)} {OPENING} and {len(closings)} {CLOSING} in the cell.",
            f"Mark one gap: write {OPENING} where the code is to be filled in, or put {OPENING} and {CLOSING} around what is to "
            "be replaced.",
        )
    end = closings[0].end() if closings else openings[0].end()
    return cell[: openings[0].start()], cell[end:]
