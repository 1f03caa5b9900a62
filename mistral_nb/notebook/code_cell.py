"""Code out of an answer, and into a cell below.

Promises: nothing is ever run; without a front end that has cells, the code is printed.
"""

import ast
import re
import sys
from typing import Literal

from IPython.core.interactiveshell import InteractiveShell

from mistral_nb.notebook.display import without_controls

_PYTHON = {"", "python", "python3", "py", "ipython", "ipython3", "pycon"}
_FENCE = re.compile(r"^[ \t]*(?P<marks>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)$")


def python_code(text: str) -> str | None:
    """Return the Python code of an answer: its fenced blocks, or all of it when it is nothing but code; None when there is none.

    Blocks of another language are left out; a block that the end of a cut answer left open counts.
    """
    blocks = [code for language, code in fenced_blocks(text) if language in _PYTHON and code.strip()]
    if blocks:
        return "\n\n".join(block.strip("\n") for block in blocks)
    has_fence = bool(fenced_blocks(text))
    return text.strip("\n") if not has_fence and _is_python(text) else None


def fenced_blocks(text: str) -> list[tuple[str, str]]:
    """Return the language (in lower case, "" where none is given) and the code of each fenced block."""
    return [(language, part) for language, part in _parts(text) if language is not None]


def answer_segments(text: str) -> list[tuple[Literal["prose", "code"], str]]:
    """Return an answer as prose and as the Python code of its fenced blocks, in their order; other blocks stay in the prose."""
    segments: list[tuple[Literal["prose", "code"], str]] = []
    for language, part in _parts(text):
        if language in _PYTHON and part.strip():
            segments.append(("code", part.strip("\n")))
            continue
        prose = part if language is None else as_block(part, language)
        if segments and segments[-1][0] == "prose":
            segments[-1] = ("prose", f"{segments[-1][1]}\n{prose}")
        elif prose.strip():
            segments.append(("prose", prose))
    return segments


def _parts(text: str) -> list[tuple[str | None, str]]:
    """Return what is between fenced blocks (with None) and the blocks (with their language), in order."""
    parts: list[tuple[str | None, str]] = []
    marks, language, indent = "", "", 0
    lines: list[str] = []
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if not marks:
            if fence:
                parts.append((None, "\n".join(lines)))
                marks, indent, lines = fence["marks"], len(line) - len(line.lstrip()), []
                language = (fence["info"].split() or [""])[0].strip("{}.").lower()
            else:
                lines.append(line)
        elif fence and fence["marks"].startswith(marks) and not fence["info"].strip():
            parts.append((language, "\n".join(lines)))
            marks, lines = "", []
        else:  # a block inside of a list is indented with it
            lines.append(line[indent:] if not line[:indent].strip() else line.lstrip())
    return [*parts, (language if marks else None, "\n".join(lines))]


def as_block(text: str, language: str = "") -> str:
    """Return the text as a fenced block of Markdown, whatever marks are in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def put_below(shell: InteractiveShell, code: str) -> None:
    """Put the code into a new cell below the one that runs; in a terminal, print it."""
    code = without_controls(code)
    if hasattr(shell, "kernel"):
        shell.set_next_input(code, replace=False)
    else:
        sys.stdout.write(f"\n{code}\n")


def _is_python(text: str) -> bool:
    """Whether the text parses, and does something (a single word does not)."""
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(not isinstance(part, ast.Expr) or isinstance(part.value, ast.Call | ast.Await) for part in statements)
