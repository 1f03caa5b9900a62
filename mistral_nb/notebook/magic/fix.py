"""``%mistral fix``: what went wrong last, and the cell that raised it, as a question.

Keeps to itself: where IPython keeps the last exception and the text of cells.
Promises: the question holds the cell's text, the exception and the lines of the reader's cells that led to it: no variable's value
but what the message itself says, and never the key.
"""

import linecache
import re
import sys
import traceback
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from mistral_nb.counted import counted
from mistral_nb.errors import InvalidOption
from mistral_nb.notebook.code_cell import as_block
from mistral_nb.settings import current_settings

MOST_CHARACTERS_OF_A_CELL = 8_000
MOST_CHARACTERS_OF_A_MESSAGE = 2_000
_MOST_CELLS = 3

# The failure of a fix is not what the next one is about.
_FIX = re.compile(r"\s*(?:\w+\s*(?:=|<<)\s*)?%mistral\b[^\n]*\bfix\b")

SYSTEM = (
    "You help a data analyst in a Jupyter notebook. Say in a few sentences what went wrong and why. Then give the whole corrected "
    "cell in one fenced Python code block."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCell:
    """A cell that raised, as it was typed, and what it raised."""

    source: str
    error: BaseException


class LastFailure:
    """Remembers the last cell that failed (a hook of IPython's: register `note` as ``post_run_cell``)."""

    def __init__(self) -> None:
        self.cell: FailedCell | None = None

    def note(self, result: Any) -> None:
        """Note how a cell ended."""
        error = result.error_before_exec or result.error_in_exec
        source = getattr(result.info, "raw_cell", None) or ""
        if error is None or isinstance(error, KeyboardInterrupt) or _FIX.match(source):
            return
        self.cell = FailedCell(source=source, error=error)


def last_failed_cell(shell: InteractiveShell, noted: FailedCell | None) -> FailedCell:
    """Return the last cell that failed; InvalidOption when none has.

    Failures before the extension was loaded were not noted; of the last one of them, IPython still has the exception.
    """
    if noted is not None:
        return noted
    error = getattr(sys, "last_value", None)
    if not isinstance(error, BaseException) or isinstance(error, KeyboardInterrupt):
        raise InvalidOption("No cell has failed yet, so there is nothing to fix.", "To ask: %mistral ask …")
    sources = _sources(error.__traceback__)
    return FailedCell(source=sources[0][1] if sources else "", error=error)


def question_about(failed: FailedCell, hint: str = "") -> str:
    """Return the question, without the key where the cell or the message has it."""
    error = failed.error
    message = _cut("".join(traceback.format_exception_only(error)).strip(), MOST_CHARACTERS_OF_A_MESSAGE)
    parts = [
        "This cell of my notebook failed:",
        as_block(_cut(failed.source.strip("\n"), MOST_CHARACTERS_OF_A_CELL), "python"),
    ]
    lines = _lines(error.__traceback__)
    if lines:
        parts += ["The lines of my cells that led to it:", as_block("\n".join(lines))]
    others = [source for _, source in _sources(error.__traceback__) if source.strip() != failed.source.strip()]
    for source in others[:_MOST_CELLS]:
        parts += ["It uses this cell:", as_block(_cut(source.strip("\n"), MOST_CHARACTERS_OF_A_CELL), "python")]
    parts += ["The error:", as_block(message)]
    if hint:
        parts.append(hint)
    return _without_key("\n\n".join(parts))


def _frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """Return the frames that are in cells (or typed at a prompt)."""
    return [frame for frame in traceback.extract_tb(trace) if _is_cell(frame.filename)]


def _is_cell(filename: str) -> bool:
    return "ipykernel_" in filename or filename.startswith("<ipython-input")


def _lines(trace: TracebackType | None) -> list[str]:
    return [f"line {frame.lineno}, in {frame.name}: {frame.line}" for frame in _frames(trace) if frame.line]


def _sources(trace: TracebackType | None) -> list[tuple[str, str]]:
    """Return file name and text of each cell that the traceback goes through, outermost first."""
    names = dict.fromkeys(frame.filename for frame in _frames(trace))
    return [(name, "".join(linecache.getlines(name))) for name in names]


def _cut(text: str, characters: int) -> str:
    return (
        text
        if len(text) <= characters
        else f"{text[:characters]}… ({counted(len(text) - characters, 'character')} more)"
    )


def _without_key(text: str) -> str:
    key = current_settings().api_key
    return text if key is None or not key.reveal() else text.replace(key.reveal(), "…")
