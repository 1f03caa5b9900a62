"""What a docstring says of a function and of its parameters.

Keeps to itself: the two forms in which parameters are documented, numpy's (underlined headings) and Google's (``Args:``).
Promises: pure; a docstring of another form is all description.
"""

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

_GOOGLE_HEADINGS = "Args|Arguments|Parameters|Params|Keyword Args|Keyword Arguments|Other Parameters|Returns|Return"
_GOOGLE_HEADINGS += "|Yields|Raises|Examples?|Notes?|References|See Also|Todo|Warnings?|Attributes"
_GOOGLE_HEADING = re.compile(rf"({_GOOGLE_HEADINGS}):\s*")
_UNDERLINE = re.compile(r"-{3,}\s*")
_PARAMETER_HEADINGS = {
    "Args",
    "Arguments",
    "Parameters",
    "Params",
    "Keyword Args",
    "Keyword Arguments",
    "Other Parameters",
}
_NUMPY_NAMES = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?")
_GOOGLE_ENTRY = re.compile(r"(\*{0,2}\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")


@dataclass(frozen=True, slots=True)
class Described:
    """A docstring's text before its sections, and what it says of each parameter, by name."""

    description: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def described(docstring: str | None) -> Described:
    """Return what a docstring says."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    headings = [number for number in range(len(lines)) if _heading(lines, number) is not None]
    end = headings[0] if headings else len(lines)
    parameters: dict[str, str] = {}
    for start, stop in pairwise([*headings, len(lines)]):
        if _heading(lines, start) not in _PARAMETER_HEADINGS:
            continue
        if _is_underlined(lines, start):
            parameters.update(_numpy_parameters(lines[start + 2 : stop]))
        else:
            parameters.update(_google_parameters(lines[start + 1 : stop]))
    return Described("\n".join(lines[:end]).strip(), parameters)


def _heading(lines: list[str], number: int) -> str | None:
    """Return the heading that begins at a line, None where none does."""
    line = lines[number]
    if _is_underlined(lines, number):
        return line.strip()
    google = _GOOGLE_HEADING.fullmatch(line)
    following = next((later for later in lines[number + 1 :] if later.strip()), "")
    return google[1] if google and following.startswith(" ") else None


def _is_underlined(lines: list[str], number: int) -> bool:
    is_title = bool(lines[number].strip()) and not lines[number].startswith(" ")
    return is_title and number + 1 < len(lines) and _UNDERLINE.fullmatch(lines[number + 1]) is not None


def _numpy_parameters(lines: Iterable[str]) -> dict[str, str]:
    """Read ``name : type`` (or ``one, two``) at the margin, with the text indented below it."""
    texts: dict[str, list[str]] = {}
    names: list[str] = []
    for line in lines:
        if line and not line.startswith(" "):
            found = _NUMPY_NAMES.fullmatch(line.strip())
            names = [name.strip(" *") for name in found[1].split(",")] if found else []
        for name in names:
            texts.setdefault(name, []).extend([line.strip()] if line.startswith(" ") else [])
    return _joined(texts)


def _google_parameters(lines: list[str]) -> dict[str, str]:
    """Read ``name (type): text`` at the section's own indentation; what is indented further continues it."""
    margin = min((_indentation(line) for line in lines if line.strip()), default=0)
    texts: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        found = _GOOGLE_ENTRY.fullmatch(line.strip()) if _indentation(line) == margin else None
        if found:
            name = found[1].lstrip("*")
            texts[name] = [found[2]]
        elif name:
            texts[name].append(line.strip())
    return _joined(texts)


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _joined(texts: Mapping[str, list[str]]) -> dict[str, str]:
    joined = {name: " ".join(filter(None, lines)) for name, lines in texts.items()}
    return {name: text for name, text in joined.items() if text}
